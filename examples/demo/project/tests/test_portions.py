import unittest

from larder.portions import people_fed, scale


class PeopleFed(unittest.TestCase):
    def test_a_rest_feeds_nobody(self) -> None:
        self.assertEqual(people_fed(7, 2), 3)

    def test_an_exact_fit_feeds_everybody(self) -> None:
        self.assertEqual(people_fed(6, 2), 3)

    def test_too_little_feeds_nobody(self) -> None:
        self.assertEqual(people_fed(1, 2), 0)

    def test_nothing_feeds_nobody(self) -> None:
        self.assertEqual(people_fed(0, 2), 0)

    def test_a_portion_of_nothing_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            people_fed(6, 0)


class Scale(unittest.TestCase):
    def test_amounts_grow_with_the_servings(self) -> None:
        self.assertEqual(scale({"flour": 100, "eggs": 1}, servings=2, wanted=4), {"flour": 200, "eggs": 2})

    def test_amounts_are_rounded_to_two_digits(self) -> None:
        self.assertEqual(scale({"milk": 1}, servings=3, wanted=1), {"milk": 0.33})


if __name__ == "__main__":
    unittest.main()

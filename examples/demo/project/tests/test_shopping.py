import unittest

from larder.shopping import as_json, as_lines, missing


class Shopping(unittest.TestCase):
    def test_only_what_is_lacking_is_bought(self) -> None:
        self.assertEqual(missing({"flour": 3, "eggs": 2}, {"flour": 1, "eggs": 6}), {"flour": 2})

    def test_the_list_is_sorted(self) -> None:
        self.assertEqual(as_lines({"rice": 1, "beans": 0.5}), ["To buy:", "- beans: 0.5", "- rice: 1"])

    def test_other_programs_get_json(self) -> None:
        self.assertEqual(as_json({"b": 1, "a": 2}), '{"a": 2, "b": 1}')


if __name__ == "__main__":
    unittest.main()

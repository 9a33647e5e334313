// Who alerts people for a key: the first row with it. The table has no unique columns, but its ids grow, so of two
// executions that wrote a row at once exactly one sees none before its own. A row that was claimed and never told is that
// of an execution which n8n lost (kill -9): after two minutes it counts no more.
const STALE_MS = 120000;
const rows = $input.all().map((item) => item.json);
const mine = rows.find((row) => row.run === String($execution.id));
const told = rows.some((row) => row.state === 'told');
const busy = rows.some(
  (row) => row.state === 'claimed' && row.id < mine.id && Date.now() - new Date(row.createdAt).getTime() < STALE_MS,
);
const outcome = told
  ? { tell: false, code: 202, answer: { accepted: true, duplicate: true } }
  : busy
    ? { tell: false, code: 409, answer: { accepted: false, error: 'is being told' } }
    : { tell: true, code: 502, answer: { accepted: false, error: 'people could not be told' } };
return [{ json: outcome }];

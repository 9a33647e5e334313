// Heard is whatever the hive decided on; anything else (away, 5xx, a wrong clock or secret) is tried again, for a day.
const MOST = 1200;
const { statusCode, body } = $input.first().json;
const heard = [200, 400, 404, 409].includes(statusCode);
let words = body?.message ?? '';
if (typeof body === 'string') {
  try {
    words = JSON.parse(body).message;
  } catch {
    words = body;
  }
}
const { verdict, by, issue } = JSON.parse($('Answer').first().json.body);
const what = heard
  ? String(words).slice(0, 300)
  : 'the hive could not be told; answer by kubectl or bzzz answer instead';
const text = `${issue.repository}#${issue.number}: ${verdict} by ${by}: ${what}`;
const escaped = text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
return [{ json: { heard: heard || $runIndex >= MOST, text: escaped } }];

// The form's answer in the words of the hive; nothing when nobody answered in time (the hive releases the issue itself).
const form = $input.first().json;
const verdict = form.Decision;
if (!['proceed', 'revise', 'abandon'].includes(verdict)) return [];
const { notice } = $('Check').first().json;
const { repository, number, epoch } = notice.issue;
const text = String(form['What is to be revised, or why'] ?? '').trim();
const body = JSON.stringify({
  schema: 'bzzz.dev/answer/v1',
  hive: notice.hive,
  escalation_id: notice.escalation_id,
  issue: { repository, number, epoch },
  verdict,
  text: [...(text || (verdict === 'revise' ? 'Revise it: no reason was given.' : ''))].slice(0, 4000).join(''),
  by: [...String(form['Your name'] ?? '').trim()].slice(0, 120).join(''),
});
return [{ json: { body } }];

// HMAC over `timestamp.body`, at most five minutes old; then what people are shown. Agents and issues wrote it, so it is
// escaped wherever it goes: in Slack no <!channel> and no link of theirs, in the form no markup.
const crypto = require('crypto');
const { raw, timestamp, signature, hmac } = $input.first().json;
const refused = (error) => [{ json: { ok: false, error } }];
const given = Buffer.from(signature.replace(/^sha256=/, ''), 'hex');
const wanted = Buffer.from(hmac, 'hex');
if (given.length !== wanted.length || !crypto.timingSafeEqual(given, wanted)) return refused('bad signature');
if (!/^[0-9]{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return refused('stale');
if (raw.length > 65536) return refused('too large');
let notice;
try {
  notice = JSON.parse(raw);
} catch {
  return refused('no JSON');
}
if (notice.schema !== 'bzzz.dev/escalation/v1' || !/^[0-9a-f]{64}$/.test(notice.idempotency_key)) return refused('unknown schema');

const cut = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);
const escape = (text) => String(text ?? '').replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
const issue = `${notice.issue.repository}#${notice.issue.number}`;
const heading = `A hive asks: ${issue}`;
const lines = [`${notice.title ?? ''}`, `Why: ${notice.reason || 'the agents could not settle it'}`];
if (notice.plan) {
  lines.push(`Plan of round ${notice.round ?? '?'} by ${notice.claimant ?? '?'}: ${notice.plan.summary ?? ''}`);
  lines.push(`Files: ${(notice.plan.footprint ?? []).join(', ') || 'none'}`);
}
for (const one of notice.objections ?? []) lines.push(`${one.severity} objection by ${one.node_id}: ${one.reason ?? ''}`);
const links = [notice.issue_url, notice.discussion_url].filter((url) => /^https?:\/\/[!-~]+$/.test(url ?? ''));
const form = $execution.resumeFormUrl;
const text = cut([heading, ...lines].join('\n'), 2900);
const section = (words) => ({ type: 'section', text: { type: 'plain_text', text: words, emoji: false } });
const button = (label, url) => ({ type: 'button', text: { type: 'plain_text', text: label }, url });
const buttons = [button('Answer', form)];
if (notice.issue_url) buttons.push(button('Issue', notice.issue_url));
if (notice.discussion_url) buttons.push(button('Discussion', notice.discussion_url));
return [
  {
    json: {
      ok: true,
      notice,
      key: notice.idempotency_key,
      heading,
      html: [...lines, ...links].map(escape).join('<br>'),
      alert: {
        text: escape(cut(`${heading}: ${notice.reason ?? ''}`, 1000)),
        blocks: [section(text), { type: 'actions', elements: buttons }],
        unfurl_links: false,
      },
      ticket: {
        kind: 'ticket',
        key: notice.idempotency_key,
        title: cut(heading, 250),
        body: [...lines, ...links, `Answer: ${form}`].join('\n'),
        labels: ['bzzz', 'needs-human'],
      },
    },
  },
];

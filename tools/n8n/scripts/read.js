// What is signed is the very bytes that came, so they are read raw; whatever is missing is found out by Check.
const item = $input.first();
let raw = '';
try {
  raw = (await this.helpers.getBinaryDataBuffer(0, 'data')).toString('utf8');
} catch {
  // no body: its signature will not hold
}
const headers = item.json.headers ?? {};
const timestamp = String(headers['x-bzzz-timestamp'] ?? '');
return [{ json: { raw, timestamp, signature: String(headers['x-bzzz-signature'] ?? ''), signed: `${timestamp}.${raw}` } }];

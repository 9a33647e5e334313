'use strict'

// The reading half of the API, the same on a sidecar and on the archive.

const { badRequest } = require('./errors')
const { sendJson, writeSlowly, integer } = require('./http')
const { exportBundle, exportConsistency } = require('./proof')

/** @typedef {import('./http').Call} Call */
/** @typedef {import('./http').Route} Route */
/** @typedef {InstanceType<typeof import('./view').LogView>} LogView */

const CHUNK_BLOCKS = 64
const HEARTBEAT_MS = 15_000

/**
 * @param {string} prefix as a regular expression, its groups go to `find`
 * @param {(params: string[]) => LogView} find
 * @returns {Route[]}
 */
function readingRoutes (prefix, find) {
  /** @param {string} path @param {(view: LogView, call: Call) => Promise<void> | void} handle @returns {Route} */
  const get = (path, handle) => ({
    method: 'GET',
    path: new RegExp(`^${prefix}/${path}$`),
    handle: call => handle(find(call.params), call)
  })
  return [
    get('head', (view, { response }) => sendJson(response, 200, describeHead(view))),
    get('records', sendRecords),
    get('records/stream', streamRecords),
    get('proof', sendProof),
    get('consistency', sendConsistency)
  ]
}

/** @param {LogView} view */
function describeHead (view) {
  const { length, byteLength, fork, treeHash, signature } = view.head
  return {
    key: view.keyHex,
    length,
    byteLength,
    fork,
    treeHash: treeHash.toString('hex'),
    signature: signature === null ? null : signature.toString('hex'),
    recovering: view.recovering,
    conflict: view.conflict
  }
}

/**
 * @param {LogView} view
 * @param {Call} call
 */
async function sendRecords (view, { response, query }) {
  const from = integer(query, 'from', 0) ?? 0
  const wanted = Math.min(integer(query, 'to', null) ?? Infinity, from + (integer(query, 'limit', null) ?? Infinity))
  const end = Math.min(wanted, view.durableLength)
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  for (let seq = from; seq < end;) {
    const next = Math.min(seq + CHUNK_BLOCKS, end)
    if (!await writeSlowly(response, await lines(view, seq, next))) return
    seq = next
  }
  response.end()
}

/**
 * @param {LogView} view
 * @param {Call} call
 */
async function streamRecords (view, { response, query }) {
  let seq = integer(query, 'from', 0) ?? 0
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
  response.flushHeaders()
  while (!view.closed) {
    const next = Math.min(seq + CHUNK_BLOCKS, view.durableLength)
    const text = seq < next ? await lines(view, seq, next) : await nextCommit(view, response) ? '' : '\n'
    if (text !== '' && !await writeSlowly(response, text)) return
    if (response.destroyed) return
    seq = Math.max(seq, next)
  }
  response.end()
}

/**
 * @param {LogView} view
 * @param {import('node:http').ServerResponse} response
 * @returns {Promise<boolean>} false when it is time for a heartbeat
 */
function nextCommit (view, response) {
  return new Promise(resolve => {
    /** @param {boolean} value */
    const done = value => {
      clearTimeout(timer)
      view.off('commit', committed)
      response.off('close', committed)
      resolve(value)
    }
    const committed = () => done(true)
    const timer = setTimeout(() => done(false), HEARTBEAT_MS)
    view.once('commit', committed)
    response.once('close', committed)
  })
}

/**
 * @param {LogView} view
 * @param {number} from
 * @param {number} to
 * @returns {Promise<string>}
 */
async function lines (view, from, to) {
  const reads = []
  for (let seq = from; seq < to; seq++) reads.push(view.block(seq))
  return (await Promise.all(reads)).map((block, i) => toLine(from + i, block)).join('')
}

/**
 * A block that is no JSON (another program wrote that log) is given as base64, since a line must stay a line.
 * @param {number} seq
 * @param {Buffer} block
 */
function toLine (seq, block) {
  let record
  try {
    record = { seq, record: JSON.parse(block.toString()) }
  } catch {
    record = { seq, record: null, data: block.toString('base64') }
  }
  // Escaped, since Unicode-minded readers (Python's splitlines, httpx's iter_lines) end a line at these too.
  return JSON.stringify(record).replace(/[\u0085\u2028\u2029]/g, escapeCharacter) + '\n'
}

/** @param {string} character */
function escapeCharacter (character) {
  return '\\u' + character.charCodeAt(0).toString(16).padStart(4, '0')
}

/**
 * @param {LogView} view
 * @param {Call} call
 */
async function sendProof (view, { response, query }) {
  const head = view.headAt(integer(query, 'length', null))
  const list = query.get('seqs')
  const seqs = list === null ? toRange(query, head.length) : toList(list)
  sendJson(response, 200, await exportBundle(view, seqs, head))
}

/**
 * @param {URLSearchParams} query
 * @param {number} length
 */
function toRange (query, length) {
  const from = integer(query, 'from', 0) ?? 0
  const to = integer(query, 'to', length) ?? length
  if (from >= to || to > length) throw badRequest(`from, to: expected 0 ≤ from < to ≤ ${length}, got ${from} and ${to}`)
  return Array.from({ length: to - from }, (_, i) => from + i)
}

/** @param {string} list */
function toList (list) {
  if (!/^\d{1,12}(,\d{1,12})*$/.test(list)) throw badRequest('seqs: expected numbers with commas between, such as 1,5,9')
  return [...new Set(list.split(',').map(Number))].sort((a, b) => a - b)
}

/**
 * @param {LogView} view
 * @param {Call} call
 */
async function sendConsistency (view, { response, query }) {
  const length = integer(query, 'length', null)
  if (length === null) throw badRequest('length: expected the earlier length to compare with')
  sendJson(response, 200, await exportConsistency(view, length))
}

module.exports = { readingRoutes }

'use strict'

// What may be appended: JSON objects with an id. A block is JSON.stringify of the parsed record, which is
// byte for byte what a compact serialiser sent; whatever could not survive that is refused, not altered.

const { ApiError, badRequest, textOf } = require('./errors')

const LIMITS = {
  bodyBytes: 4 * 1024 * 1024,
  records: 1000, // a request
  recordBytes: 64 * 1024,
  idCharacters: 128,
  depth: 64
}

/** @typedef {{ id: string, block: Buffer }} Entry */

/**
 * @param {Buffer} body of POST /v1/records
 * @returns {Entry[]}
 * @throws {ApiError} 400, 413
 */
function parseAppend (body) {
  const request = parse(body)
  if (!isObject(request) || !Array.isArray(request.records)) {
    throw badRequest('expected {"records": [{"id": "…", …}]}; nothing was appended')
  }
  if (request.sync !== undefined && request.sync !== true) {
    throw badRequest('sync: expected true or nothing, since an append is always synced before it is acknowledged')
  }
  const { records } = request
  if (records.length === 0) throw badRequest('records: expected at least one; nothing was appended')
  if (records.length > LIMITS.records) {
    throw new ApiError(413, 'TOO_LARGE', `records: expected at most ${LIMITS.records}, got ${records.length}; send them in parts`)
  }
  return records.map(toEntry)
}

/**
 * @param {unknown} record
 * @param {number} index
 * @returns {Entry}
 */
function toEntry (record, index) {
  if (!isObject(record)) throw badRequest(`records[${index}]: expected an object; nothing was appended`)
  const { id } = record
  if (typeof id !== 'string' || id.length === 0 || id.length > LIMITS.idCharacters) {
    throw badRequest(`records[${index}].id: expected text of 1 to ${LIMITS.idCharacters} characters; nothing was appended`)
  }
  refuseLossy(record, `records[${index}]`, 0)
  const block = Buffer.from(JSON.stringify(record))
  if (block.length > LIMITS.recordBytes) {
    throw new ApiError(413, 'TOO_LARGE', `records[${index}]: expected at most ${LIMITS.recordBytes} bytes, got ${block.length}; nothing was appended`)
  }
  return { id, block }
}

/**
 * JavaScript would round a big integer silently, and a log whose very point is that nothing changes must not.
 * @param {unknown} value
 * @param {string} where
 * @param {number} depth
 */
function refuseLossy (value, where, depth) {
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
      throw badRequest(`${where}: expected numbers within ±(2^53 - 1); send bigger ones as text`)
    }
  } else if (typeof value === 'object' && value !== null) {
    if (depth === LIMITS.depth) throw badRequest(`${where}: expected at most ${LIMITS.depth} levels of nesting`)
    for (const inner of Object.values(value)) refuseLossy(inner, where, depth + 1)
  }
}

/**
 * @param {Buffer} block
 * @returns {string | null} the id of a block of ours, null when it has none
 */
function idOf (block) {
  try {
    const record = JSON.parse(block.toString())
    return isObject(record) && typeof record.id === 'string' ? record.id : null
  } catch {
    return null
  }
}

/**
 * @param {Buffer} body
 * @returns {unknown}
 */
function parse (body) {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (error) {
    throw badRequest(`body: expected JSON in UTF-8: ${textOf(error)}; nothing was appended`)
  }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject (value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

module.exports = { parseAppend, idOf, LIMITS }

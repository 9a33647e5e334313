'use strict'

const { createHash, timingSafeEqual } = require('node:crypto')

/**
 * Whether a request carries a bearer token, compared in constant time.
 * @param {import('node:http').IncomingMessage} request
 * @param {string} token
 */
function isBearer (request, token) {
  return timingSafeEqual(digest(request.headers.authorization ?? ''), digest(`Bearer ${token}`))
}

/** @param {string} text */
function digest (text) {
  return createHash('sha256').update(text).digest() // equal lengths, as timingSafeEqual asks for
}

module.exports = { isBearer }

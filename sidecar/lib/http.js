'use strict'

// A small HTTP/1.1 JSON server: routes, bounded bodies, one shape of error, clients that are too slow dropped.

const http = require('node:http')
const { isBearer } = require('./bearer')
const { ApiError, badRequest, notFound, textOf, codeOf } = require('./errors')
const logger = require('./logger')

/** Seconds unless the name says otherwise. */
const LIMITS = { connections: 256, headerBytes: 32 * 1024, requestTimeout: 15, headersTimeout: 3, keepAlive: 60, drainTimeout: 30 }

/**
 * @typedef {object} Call
 * @property {http.IncomingMessage} request
 * @property {http.ServerResponse} response
 * @property {URLSearchParams} query
 * @property {string[]} params what the path's groups matched
 */
/**
 * @typedef {object} Route
 * @property {string} method
 * @property {RegExp} path
 * @property {boolean} [open] needs no token
 * @property {(call: Call) => Promise<void> | void} handle
 */

/**
 * @param {Route[]} routes
 * @param {{ token?: string, isDraining: () => boolean, onError: (code: string) => void }} options
 * @returns {http.Server} not yet listening
 */
function createServer (routes, { token, isDraining, onError }) {
  const server = http.createServer({ maxHeaderSize: LIMITS.headerBytes, connectionsCheckingInterval: 1000 }, (request, response) => {
    response.on('error', () => response.destroy())
    if (isDraining()) response.setHeader('connection', 'close')
    answer(routes, token, request, response).catch(error => sendError(response, error, onError))
  })
  server.maxConnections = LIMITS.connections
  server.requestTimeout = LIMITS.requestTimeout * 1000
  server.headersTimeout = LIMITS.headersTimeout * 1000
  server.keepAliveTimeout = LIMITS.keepAlive * 1000
  return server
}

/**
 * @param {Route[]} routes
 * @param {string | undefined} token
 * @param {http.IncomingMessage} request
 * @param {http.ServerResponse} response
 */
async function answer (routes, token, request, response) {
  const url = toUrl(request.url ?? '/')
  const matching = routes.filter(route => route.path.test(url.pathname))
  if (matching.length === 0 || !matching.every(route => route.open)) authorise(request, token)
  const route = matching.find(({ method }) => method === request.method)
  if (route === undefined) {
    if (matching.length === 0) throw notFound(`${url.pathname}: no such path; docs/log.md lists them`)
    throw new ApiError(405, 'METHOD_NOT_ALLOWED', `${url.pathname}: expected ${matching.map(({ method }) => method).join(' or ')}, got ${request.method}`)
  }
  const params = (route.path.exec(url.pathname) ?? []).slice(1)
  await route.handle({ request, response, query: url.searchParams, params })
}

/**
 * @param {string} target
 * @returns {URL}
 */
function toUrl (target) {
  try {
    return new URL(target, 'http://log')
  } catch {
    throw badRequest('expected a request path')
  }
}

/**
 * @param {http.IncomingMessage} request
 * @param {string | undefined} token
 */
function authorise (request, token) {
  if (token !== undefined && !isBearer(request, token)) {
    throw new ApiError(401, 'UNAUTHORIZED', 'expected an Authorization header with this archive\'s bearer token')
  }
}

/**
 * @param {http.ServerResponse} response
 * @param {unknown} error
 * @param {(code: string) => void} onError
 */
function sendError (response, error, onError) {
  const known = error instanceof ApiError
    ? error
    : new ApiError(500, 'INTERNAL', 'an error of this program; its log says more')
  onError(known.code)
  if (known.status === 500) logger.error('request_failed', { error: textOf(error), code: codeOf(error) })
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  if (known.retryAfter !== undefined) response.setHeader('retry-after', String(known.retryAfter))
  if (known.status === 413 || known.status === 400) response.setHeader('connection', 'close') // the body may not have been read
  if (known.status === 401) response.setHeader('www-authenticate', 'Bearer')
  sendJson(response, known.status, { error: { code: known.code, message: known.message } })
}

/**
 * @param {http.ServerResponse} response
 * @param {number} status
 * @param {object} value
 */
function sendJson (response, status, value) {
  const body = Buffer.from(JSON.stringify(value))
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
}

/**
 * @param {http.IncomingMessage} request
 * @param {number} limit bytes
 * @returns {Promise<Buffer>}
 * @throws {ApiError} 413
 */
async function readBody (request, limit) {
  const tooLarge = () => new ApiError(413, 'TOO_LARGE', `body: expected at most ${limit} bytes; send it in parts`)
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge()
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > limit) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/**
 * Write to a client that may be slow or gone.
 * @param {http.ServerResponse} response
 * @param {string} text
 * @returns {Promise<boolean>} false when the client is gone, or was dropped because it did not read for 30 s
 */
async function writeSlowly (response, text) {
  if (response.destroyed) return false
  if (response.write(text)) return true
  return new Promise(resolve => {
    const timer = setTimeout(() => response.destroy(), LIMITS.drainTimeout * 1000)
    const done = () => {
      clearTimeout(timer)
      response.off('drain', done)
      response.off('close', done)
      resolve(!response.destroyed)
    }
    response.once('drain', done)
    response.once('close', done)
  })
}

/**
 * @param {URLSearchParams} query
 * @param {string} name
 * @param {number | null} fallback
 * @returns {number | null}
 * @throws {ApiError} 400
 */
function integer (query, name, fallback) {
  const text = query.get(name)
  if (text === null) return fallback
  if (!/^\d{1,12}$/.test(text)) throw badRequest(`${name}: expected a whole number, got ${text.slice(0, 32)}`)
  return Number(text)
}

module.exports = { createServer, sendJson, readBody, writeSlowly, integer }

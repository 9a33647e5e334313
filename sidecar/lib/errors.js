'use strict'

// Errors with a code: what a caller may act on is the code, what a human reads is the message
// (what was expected, what came, what to do).

/** An answer that is not a success: HTTP status, constant code, text, and when to come back. */
class ApiError extends Error {
  /**
   * @param {number} status HTTP status
   * @param {string} code constant, UPPER_SNAKE
   * @param {string} message
   * @param {number} [retryAfter] seconds
   */
  constructor (status, code, message, retryAfter) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }
}

/** The process cannot start as it was asked to; its user can mend that. Exit code 2. */
class ConfigError extends Error {}

/**
 * @param {string} message
 * @returns {ApiError} 400
 */
const badRequest = (message) => new ApiError(400, 'BAD_REQUEST', message)

/**
 * @param {string} message
 * @returns {ApiError} 404
 */
const notFound = (message) => new ApiError(404, 'NOT_FOUND', message)

/**
 * @param {string} code
 * @param {string} message
 * @param {number} [retryAfter] seconds
 * @returns {ApiError} 503
 */
const unavailable = (code, message, retryAfter = 1) => new ApiError(503, code, message, retryAfter)

/**
 * @param {unknown} error
 * @returns {string} one line, at most 256 characters: foreign text never floods a log
 */
function textOf (error) {
  const text = error instanceof Error ? error.message : String(error)
  return text.replace(/\s+/g, ' ').slice(0, 256)
}

/**
 * @param {unknown} error
 * @returns {string} an error's `code`, or ''
 */
function codeOf (error) {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return String(error.code)
}

module.exports = { ApiError, ConfigError, badRequest, notFound, unavailable, textOf, codeOf }

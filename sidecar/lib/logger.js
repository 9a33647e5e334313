'use strict'

// Structured logs, one JSON object a line, on stderr. Never a secret, never a record's content.

/**
 * @param {'debug' | 'info' | 'warning' | 'error'} level
 * @param {string} event constant, snake_case
 * @param {Record<string, unknown>} [fields]
 */
function write (level, event, fields = {}) {
  const line = { timestamp: new Date().toISOString(), level, event, ...fields }
  process.stderr.write(JSON.stringify(line) + '\n')
}

module.exports = {
  /** @param {string} event @param {Record<string, unknown>} [fields] */
  info: (event, fields) => write('info', event, fields),
  /** @param {string} event @param {Record<string, unknown>} [fields] */
  warning: (event, fields) => write('warning', event, fields),
  /** @param {string} event @param {Record<string, unknown>} [fields] */
  error: (event, fields) => write('error', event, fields)
}

'use strict'

// The list of logs as it was last put over HTTP, kept across restarts beside the replicas.

const path = require('node:path')
const { ApiError, badRequest, textOf } = require('./errors')
const { parseLogList, LOG_LIST } = require('./config')
const { writeDurably, readJson } = require('./files')
const logger = require('./logger')

/** @typedef {import('./config').LogAddress} LogAddress */

class KeptList {
  /**
   * @param {string} dir the archive's
   * @param {string | null} logsFile where the list comes from instead; then none can be put
   * @param {(logs: LogAddress[]) => Promise<void>} use
   */
  constructor (dir, logsFile, use) {
    this.file = path.join(dir, 'logs.json')
    this.logsFile = logsFile
    this.use = use
    this.kept = ''
  }

  /** Follow the list put last. */
  async restore () {
    const logs = parseLogList(readJson(this.file))
    if (logs !== null) await this.use(logs)
  }

  /**
   * @param {Buffer} body JSON
   * @returns {Promise<number>} how many logs are followed now; the list is on the disk
   * @throws {ApiError} 400; 409 LIST_FROM_FILE
   */
  async replace (body) {
    if (this.logsFile !== null) {
      throw new ApiError(409, 'LIST_FROM_FILE', `this archive reads its list of logs from ${this.logsFile}; change that file, or start it without logsFile`)
    }
    const logs = readList(body)
    const text = JSON.stringify(logs) + '\n'
    if (text !== this.kept) writeDurably(this.file, text)
    this.kept = text
    await this.use(logs)
    logger.info('log_list_put', { logs: logs.length })
    return logs.length
  }
}

/**
 * @param {Buffer} body
 * @returns {LogAddress[]}
 * @throws {ApiError} 400
 */
function readList (body) {
  let value
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw badRequest(`body: expected JSON: ${textOf(error)}`)
  }
  const logs = parseLogList(value)
  if (logs === null) throw badRequest(`body: expected ${LOG_LIST}`)
  if (new Set(logs.map(({ key }) => key)).size !== logs.length) throw badRequest('body: expected each key once')
  return logs
}

module.exports = { KeptList }

'use strict'

const fs = require('node:fs')
const { textOf } = require('./errors')
const { readLogList } = require('./config')
const logger = require('./logger')

/** @typedef {import('./config').LogAddress} LogAddress */

const POLL_MS = 500

/** The list of logs in a file that others write: read at start, on SIGHUP and whenever it changes. */
class ListFile {
  /**
   * @param {string} file
   * @param {(logs: LogAddress[]) => Promise<void>} use
   */
  constructor (file, use) {
    this.file = file
    this.use = use
    this.seen = ''
    this.fault = ''
    this.onHangup = () => { this.read() }
    process.on('SIGHUP', this.onHangup)
    this.timer = setInterval(() => this.read(), POLL_MS)
  }

  async read () {
    try {
      const text = fs.readFileSync(this.file, 'utf8')
      if (text === this.seen) return
      const logs = readLogList(this.file)
      this.seen = text
      await this.use(logs)
      logger.info('log_list_read', { logs: logs.length })
    } catch (error) {
      const reason = textOf(error)
      if (reason !== this.fault) logger.warning('log_list_unreadable', { error: reason }) // the list before stays in force
      this.fault = reason
    }
  }

  close () {
    clearInterval(this.timer)
    process.off('SIGHUP', this.onHangup)
  }
}

module.exports = { ListFile }

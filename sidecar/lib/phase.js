'use strict'

// What a log may do at the moment, why, and how to tell a caller so.

const { EventEmitter } = require('node:events')
const { nextEvent } = require('./deadline')
const { unavailable } = require('./errors')
const logger = require('./logger')

/** @typedef {'witnessing' | 'open' | 'recovering' | 'conflict'} PhaseName */

/** @type {Record<PhaseName, 'info' | 'warning' | 'error'>} */
const LEVELS = { witnessing: 'info', open: 'info', recovering: 'warning', conflict: 'error' }

/** Emits `change` on every change. */
class Phase extends EventEmitter {
  /** @param {number} patienceMs how long a caller is made to wait rather than refused, from the start on */
  constructor (patienceMs) {
    super()
    this.setMaxListeners(0) // one a waiting request; their number is bounded by the server
    this.patienceMs = patienceMs
    this.startedAt = Date.now()
    /** @type {PhaseName} */
    this.name = 'witnessing'
    this.reason = 'just started'
  }

  /**
   * @param {PhaseName} name
   * @param {string} reason
   * @param {Record<string, unknown>} context for the log
   */
  enter (name, reason, context) {
    if (name !== this.name) logger[LEVELS[name]]('phase', { phase: name, reason, ...context })
    this.name = name
    this.reason = reason
    this.emit('change')
  }

  /** Just after a start, wait a moment for the archive's word instead of refusing at once. */
  async settled () {
    const end = this.startedAt + this.patienceMs
    while (this.name === 'witnessing') await nextEvent(this, 'change', this.patienceMs + 1000)
    while (this.name === 'recovering' && Date.now() < end) await nextEvent(this, 'change', end - Date.now())
  }

  /** @returns {InstanceType<typeof import('./errors').ApiError>} why nothing may be appended now */
  refusal () {
    if (this.name === 'conflict') {
      return unavailable('CONFLICT', `this log is in conflict (${this.reason}) and is never written again; give the agent a new seed and keep this log as evidence`, 60)
    }
    return unavailable('RECOVERING', `this log is recovering (${this.reason}); it is healed from the archive, make sure that is running`)
  }
}

module.exports = { Phase }

'use strict'

// Group commit: requests that arrive while a commit is under way are appended together by the next one, so
// that one fdatasync serves many. One commit at a time is also what makes ids unique without a lock.

const { ApiError, unavailable, textOf } = require('./errors')

/** @typedef {import('./records').Entry} Entry */
/** @typedef {{ id: string, seq: number, replayed: boolean }} Result */
/** @typedef {{ results: Result[], length: number }} Appended */
/**
 * @typedef {object} Pending
 * @property {Entry[]} entries
 * @property {(appended: Appended) => void} resolve
 * @property {(error: Error) => void} reject
 */
/**
 * What the appender writes to.
 * @typedef {object} Sink
 * @property {number} nextSeq
 * @property {(id: string) => Promise<{ seq: number, block: Buffer } | null>} find
 * @property {(entries: Entry[], start: number) => Promise<void>} write appends from the place `start` on and makes durable; throws ApiError when it
 *   may not write now, anything else when the storage failed
 */

const LIMITS = { batchRecords: 2000, pendingBytes: 32 * 1024 * 1024 }

class Appender {
  /**
   * @param {Sink} sink
   * @param {{ onBatch: (records: number, replayed: number, seconds: number) => void, onFailure: (error: unknown) => void }} hooks
   *   onFailure: storage failed, what is on disk is unknown, the process must start anew
   */
  constructor (sink, hooks) {
    this.sink = sink
    this.hooks = hooks
    /** @type {Pending[]} */
    this.queue = []
    this.pendingBytes = 0
    /** @type {Promise<void> | null} */
    this.running = null
  }

  /**
   * @param {Entry[]} entries
   * @returns {Promise<Appended>} once all are durable
   * @throws {ApiError} 409 ID_CONFLICT, 503
   */
  submit (entries) {
    const bytes = entries.reduce((sum, entry) => sum + entry.block.length, 0)
    if (this.pendingBytes + bytes > LIMITS.pendingBytes) {
      throw unavailable('OVERLOADED', `expected at most ${LIMITS.pendingBytes} bytes waiting for the disk; try again later`)
    }
    this.pendingBytes += bytes
    return new Promise((resolve, reject) => {
      this.queue.push({ entries, resolve, reject })
      this.running ??= this.run().finally(() => { this.running = null })
    }).finally(() => { this.pendingBytes -= bytes })
  }

  /** Wait until everything submitted so far has been answered. */
  async drain () {
    while (this.running !== null) await this.running
  }

  async run () {
    await null // let what arrives in this turn of the event loop join the first batch
    while (this.queue.length > 0) await this.commit(this.take())
  }

  /** @returns {Pending[]} */
  take () {
    let records = 0
    let requests = 0
    for (const pending of this.queue) {
      records += pending.entries.length
      if (requests > 0 && records > LIMITS.batchRecords) break
      requests++
    }
    return this.queue.splice(0, requests)
  }

  /** @param {Pending[]} batch */
  async commit (batch) {
    try {
      await this.commitNow(batch)
    } catch (error) {
      const answer = error instanceof ApiError
        ? error
        : unavailable('STORAGE', `the log's storage failed (${textOf(error)}); the process starts anew, send the same records again`)
      for (const pending of batch) pending.reject(answer) // no effect on those already answered
      if (!(error instanceof ApiError)) this.hooks.onFailure(error)
    }
  }

  /** @param {Pending[]} batch */
  async commitNow (batch) {
    const started = process.hrtime.bigint()
    const plan = new Plan(this.sink)
    /** @type {{ pending: Pending, results: Result[] }[]} */
    const accepted = []
    for (const pending of batch) {
      try {
        accepted.push({ pending, results: await plan.add(pending.entries) })
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        pending.reject(error)
      }
    }
    if (plan.fresh.length > 0) await this.sink.write(plan.fresh, plan.start)
    const length = plan.start + plan.fresh.length
    const replayed = accepted.reduce((sum, { results }) => sum + results.filter(result => result.replayed).length, 0)
    this.hooks.onBatch(plan.fresh.length, replayed, Number(process.hrtime.bigint() - started) / 1e9)
    for (const { pending, results } of accepted) pending.resolve({ results, length })
  }
}

/** What one batch will append, and which of its ids are there already. */
class Plan {
  /** @param {Sink} sink */
  constructor (sink) {
    this.sink = sink
    this.start = sink.nextSeq
    /** @type {Entry[]} */
    this.fresh = []
    /** @type {Map<string, { seq: number, block: Buffer }>} */
    this.planned = new Map()
  }

  /**
   * A request goes in as a whole or, when one of its ids is taken by another content, not at all.
   * @param {Entry[]} entries
   * @returns {Promise<Result[]>}
   */
  async add (entries) {
    const before = this.fresh.length
    const results = []
    try {
      for (const entry of entries) results.push(await this.place(entry))
    } catch (error) {
      for (const entry of this.fresh.splice(before)) this.planned.delete(entry.id)
      throw error
    }
    return results
  }

  /**
   * @param {Entry} entry
   * @returns {Promise<Result>}
   */
  async place ({ id, block }) {
    const there = this.planned.get(id) ?? await this.sink.find(id)
    if (there === null) {
      const seq = this.start + this.fresh.length
      this.fresh.push({ id, block })
      this.planned.set(id, { seq, block })
      return { id, seq, replayed: false }
    }
    if (!there.block.equals(block)) {
      throw new ApiError(409, 'ID_CONFLICT', `id ${id}: record ${there.seq} has this id and another content; nothing was appended, use a new id`)
    }
    return { id, seq: there.seq, replayed: true }
  }
}

module.exports = { Appender }

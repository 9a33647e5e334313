'use strict'

// An agent's own log: one writer, and never a write that could contradict what others have seen.
//
//   witnessing ─→ open ⇄ recovering          any ─→ conflict (for good)
//
// `witnessing`: just started; the archive may know more than this disk (a volume rolled back with its
// watermark shows no trace of it), so appends wait a moment for its word. `recovering`: blocks are known or
// suspected to be missing; the archive's are taken in, appends are refused until all are here.

const fs = require('node:fs')
const path = require('node:path')
const { unavailable, textOf } = require('./errors')
const { nextEvent } = require('./deadline')
const { ConflictFlag } = require('./conflict')
const { WriteAheadLog } = require('./durability')
const { Lookup } = require('./lookup')
const { openStorage } = require('./storage')
const { Tenure } = require('./tenure')
const { LogView, headOf } = require('./view')
const { treeHashAt } = require('./proof')
const { Watermark } = require('./watermark')
const { missing, witnessed, suspicion } = require('./witness')
const logger = require('./logger')

/** @typedef {import('./records').Entry} Entry */
/** @typedef {'witnessing' | 'open' | 'recovering' | 'conflict'} Phase */

/** How often to look for the archive's word: while something waits for it, and while all is well. */
const LOOK_WAITING_MS = 50
const LOOK_OPEN_MS = 500

class WriterLog extends LogView {
  /**
   * @param {{ dir: string, keys: { key: Buffer, manifest: object, keyPair: KeyPair }, hasWitness: boolean, witnessMs: number, onSync?: (seconds: number) => void }} options
   *   hasWitness: an archive may connect; witnessMs: how long the first appends wait for it
   * @returns {Promise<WriterLog>}
   */
  static async open (options) {
    fs.mkdirSync(options.dir, { recursive: true, mode: 0o700 })
    const log = new WriterLog(options)
    await log.start()
    return log
  }

  /** @param {Parameters<typeof WriterLog.open>[0]} options */
  constructor (options) {
    super(options.keys.key)
    this.options = options
    this.flag = new ConflictFlag(options.dir)
    this.tenure = new Tenure(options.dir)
    this.watermark = new Watermark(path.join(options.dir, 'watermark'))
    this.wal = new WriteAheadLog(path.join(options.dir, 'core'))
    /** @type {Phase} */
    this.phase = 'witnessing'
    this.reason = 'just started'
    this.startedAt = Date.now()
    this.lookup = new Lookup(this)
    /** @type {Download | null} */
    this.download = null
    /** @type {import('hypercore') | undefined} */
    this.opened = undefined
    /** @type {NodeJS.Timeout | undefined} */
    this.timer = undefined
    /** @type {NodeJS.Timeout | undefined} */
    this.grace = undefined
    this.looking = false
    this.writing = false
  }

  get core () {
    if (this.opened === undefined) throw unavailable('RECOVERING', 'the log is being reopened; try again')
    return this.opened
  }

  get recovering () {
    return this.phase === 'recovering'
  }

  get conflict () {
    return this.phase === 'conflict'
  }

  get nextSeq () {
    return this.core.length
  }

  async start () {
    const { dir, keys } = this.options
    const { core, doubt } = await openStorage(dir, keys.key, { manifest: keys.manifest })
    this.tenure.begin()
    this.adopt(core)
    if (core.fork !== 0) this.flag.raise('the log was truncated', core.length, core.fork)
    if (this.flag.found !== null) {
      await this.enterConflict(this.flag.found.reason)
      return
    }
    await this.sync()
    if (core.contiguousLength === core.length) this.commit(headOf(core))
    await this.lookup.readUpTo(core.contiguousLength)
    const why = missing(core, this.watermark)
    if (why === null && await this.contradicted()) return
    this.choosePhase(why ?? doubt)
    this.lookAgain()
  }

  /** @param {import('hypercore')} core */
  adopt (core) {
    this.opened = core
    core.on('conflict', (length, fork) => this.enterConflict('two signed histories of this log exist', length, fork))
    core.on('verification-error', error => {
      this.reason = 'the archive has blocks that do not continue this log'
      logger.warning('archive_contradicts', { error: textOf(error), length: core.length })
    })
  }

  /**
   * Without a witness there is nobody to wait for; then only the watermark counts.
   * @param {string | null} doubt
   */
  choosePhase (doubt) {
    const { hasWitness, witnessMs } = this.options
    const why = doubt ?? (this.watermark.damaged ? 'the watermark cannot be read' : null) ??
      (hasWitness ? suspicion(this.core, this.tenure.mayHaveLostWrites) : null)
    if (why !== null) this.enterRecovering(why)
    else if (hasWitness) this.enterWitnessing(witnessMs)
    else this.enterOpen()
  }

  lookAgain () {
    if (this.closed) return
    this.timer = setTimeout(() => this.look().finally(() => this.lookAgain()), this.phase === 'open' ? LOOK_OPEN_MS : LOOK_WAITING_MS)
  }

  /** Look whether the archive has spoken or healed us. */
  async look () {
    if (this.opened === undefined || this.opened.closing !== null || this.conflict || this.writing) return
    const seen = witnessed(this.opened)
    if (seen === null) return
    this.looking = true
    try {
      if (seen > this.opened.length) this.enterRecovering(`${this.opened.length} blocks here, the archive has ${seen}`)
      else if (this.phase !== 'open') await this.settle()
    } catch (error) {
      logger.warning('look_failed', { error: textOf(error) })
    } finally {
      this.looking = false
    }
  }

  /** All that the archive has is here: check it against what we acknowledged, make it durable, go on. */
  async settle () {
    if (missing(this.core, this.watermark) !== null || await this.contradicted()) return
    await this.publish()
    await this.lookup.readUpTo(this.core.length)
    this.enterOpen()
  }

  /** @returns {Promise<boolean>} true when the blocks here are not those that were acknowledged: a conflict */
  async contradicted () {
    const { length, treeHash } = this.watermark
    if (treeHash === null || treeHash.equals(await treeHashAt(this, length))) return false
    await this.enterConflict('its history differs from what was acknowledged', length, this.core.fork)
    return true
  }

  async sync () {
    const started = process.hrtime.bigint()
    await this.wal.sync()
    this.options.onSync?.(Number(process.hrtime.bigint() - started) / 1e9)
  }

  /** Make durable what is in the log, raise the mark, show it to readers. */
  async publish () {
    const head = headOf(this.core)
    await this.sync()
    this.watermark.raise(head.length, head.treeHash)
    this.commit(head)
  }

  /** @param {string} id */
  find (id) {
    return this.lookup.find(id)
  }

  /**
   * Append and make durable.
   * @param {Entry[]} entries with ids that are new
   * @throws {import('./errors').ApiError} 503 when the log may not be written now
   */
  async write (entries) {
    this.assertWritable()
    this.writing = true
    try {
      await this.core.append(entries.map(entry => entry.block), { keyPair: this.options.keys.keyPair })
      for (const entry of entries) this.lookup.add(entry.id)
      await this.publish()
    } catch (error) {
      if (this.flag.found !== null) throw this.refusal() // a conflict closed the core under the append
      throw error
    } finally {
      this.writing = false
    }
  }

  assertWritable () {
    const seen = this.phase === 'open' ? witnessed(this.core) : null
    if (seen !== null && seen > this.core.length) this.enterRecovering(`${this.core.length} blocks here, the archive has ${seen}`)
    if (this.phase !== 'open') throw this.refusal()
  }

  refusal () {
    if (this.flag.found !== null) {
      return unavailable('CONFLICT', `this log is in conflict (${this.reason}) and is never written again; give the agent a new seed and keep this log as evidence`, 60)
    }
    return unavailable('RECOVERING', `this log is recovering (${this.reason}); it is healed from the archive, make sure that is running`)
  }

  /** Just after a start, wait a moment for the archive's word instead of refusing at once. */
  async settled () {
    const end = this.startedAt + this.options.witnessMs
    while ((this.phase === 'witnessing' || this.phase === 'recovering') && !this.closed && Date.now() < end) {
      await nextEvent(this, 'phase', end - Date.now())
    }
  }

  /** @param {number} milliseconds */
  enterWitnessing (milliseconds) {
    this.enter('witnessing', 'waiting for the archive\'s word')
    this.grace = setTimeout(() => {
      if (this.phase !== 'witnessing' || this.looking) return
      logger.warning('witness_absent', { waited_ms: milliseconds })
      this.enterOpen()
    }, milliseconds)
  }

  enterOpen () {
    this.download?.destroy()
    this.download = null
    this.enter('open', '')
  }

  /** @param {string} reason */
  enterRecovering (reason) {
    if (this.phase === 'recovering') return
    this.download ??= this.core.download({ start: 0, end: -1 })
    this.enter('recovering', reason)
  }

  /**
   * @param {string} reason
   * @param {number} [length]
   * @param {number} [fork]
   */
  async enterConflict (reason, length = this.head.length, fork = this.head.fork) {
    this.flag.raise(reason, length, fork)
    const first = this.phase !== 'conflict'
    this.enter('conflict', reason)
    if (!first) return
    this.emit('quarantine') // whoever replicates this log stops now
    await this.reopenForReading()
  }

  /** Hypercore closes a core in conflict; its blocks stay worth reading. */
  async reopenForReading () {
    const { dir, keys } = this.options
    const old = this.opened
    this.opened = undefined
    await old?.close()
    if (this.closed) return
    const { core } = await openStorage(dir, keys.key, { manifest: keys.manifest, writable: false })
    this.opened = core
    this.commit(headOf(core))
  }

  /**
   * @param {Phase} phase
   * @param {string} reason
   */
  enter (phase, reason) {
    clearTimeout(this.grace)
    if (phase !== this.phase) {
      const level = phase === 'conflict' ? 'error' : phase === 'recovering' ? 'warning' : 'info'
      logger[level]('phase', { phase, reason, key: this.keyHex, length: this.opened?.length ?? 0 })
    }
    this.phase = phase
    this.reason = reason
    this.emit('phase')
  }

  async close () {
    this.endReaders()
    this.emit('phase')
    clearTimeout(this.grace)
    clearTimeout(this.timer)
    this.download?.destroy()
    await this.opened?.close()
    await this.wal.close()
    this.watermark.close()
    this.tenure.end()
  }
}

module.exports = { WriterLog }

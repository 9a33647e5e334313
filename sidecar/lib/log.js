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
const { ConflictFlag } = require('./conflict')
const { WriteAheadLog } = require('./durability')
const { Lookup } = require('./lookup')
const { Phase } = require('./phase')
const { openStorage } = require('./storage')
const { Tenure } = require('./tenure')
const { LogView, headOf } = require('./view')
const { treeHashAt } = require('./proof')
const { Watermark } = require('./watermark')
const { witnessed, behind, suspicion } = require('./witness')
const logger = require('./logger')

/** @typedef {import('./records').Entry} Entry */

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
    this.watermark = new Watermark(path.join(options.dir, 'watermark'))
    this.tenure = new Tenure(options.dir, path.join(options.dir, 'watermark'))
    this.wal = new WriteAheadLog(path.join(options.dir, 'core'))
    this.phase = new Phase(options.witnessMs)
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
    return this.phase.name === 'recovering'
  }

  get conflict () {
    return this.phase.name === 'conflict'
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
    const why = behind(core, this.watermark)
    if (why === null && await this.contradicted()) return
    this.choosePhase(why ?? doubt)
    this.lookAgain()
  }

  /** @param {import('hypercore')} core */
  adopt (core) {
    this.opened = core
    core.on('conflict', (length, fork) => this.enterConflict('two signed histories of this log exist', length, fork))
    core.on('verification-error', error => {
      this.phase.reason = 'the archive has blocks that do not continue this log'
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
      (hasWitness ? suspicion(this.core, this.tenure) : null)
    if (why !== null) this.enterRecovering(why)
    else if (hasWitness) this.enterWitnessing(witnessMs)
    else this.enterOpen()
  }

  lookAgain () {
    if (this.closed) return
    this.timer = setTimeout(() => this.look().finally(() => this.lookAgain()), this.phase.name === 'open' ? LOOK_OPEN_MS : LOOK_WAITING_MS)
  }

  /** Look whether the archive has spoken or healed us. */
  async look () {
    if (this.opened === undefined || this.opened.closing !== null || this.conflict || this.writing) return
    if (witnessed(this.opened) === null) return
    this.looking = true
    try {
      const why = behind(this.opened, this.watermark)
      if (why !== null) this.enterRecovering(why)
      else if (this.phase.name !== 'open') await this.settle()
    } catch (error) {
      logger.warning('look_failed', { error: textOf(error) })
    } finally {
      this.looking = false
    }
  }

  /** All that the archive has is here: check it against what we acknowledged, make it durable, go on. */
  async settle () {
    if (await this.contradicted()) return
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
   * @param {number} start the place planned for the first
   * @throws {import('./errors').ApiError} 503 when the log may not be written now
   */
  async write (entries, start) {
    this.assertWritable()
    this.writing = true
    try {
      const { length } = await this.core.append(entries.map(entry => entry.block), { keyPair: this.options.keys.keyPair })
      if (length !== start + entries.length) { // the archive's longer head came in between: other places than planned
        this.enterRecovering('the archive had blocks that were missing here')
        throw this.phase.refusal()
      }
      for (const entry of entries) this.lookup.add(entry.id)
      await this.publish()
    } catch (error) {
      if (this.flag.found !== null) throw this.phase.refusal() // a conflict closed the core under the append
      throw error
    } finally {
      this.writing = false
    }
  }

  assertWritable () {
    const why = this.phase.name === 'open' ? behind(this.core, this.watermark) : null
    if (why !== null) this.enterRecovering(why)
    if (this.phase.name !== 'open') throw this.phase.refusal()
  }

  /** @param {number} milliseconds */
  enterWitnessing (milliseconds) {
    this.enter('witnessing', 'waiting for the archive\'s word')
    this.grace = setTimeout(() => {
      if (this.phase.name !== 'witnessing' || this.looking) return
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
    if (this.phase.name === 'recovering') return
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
    const first = this.phase.name !== 'conflict'
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
   * @param {import('./phase').PhaseName} name
   * @param {string} reason
   */
  enter (name, reason) {
    clearTimeout(this.grace)
    this.phase.enter(name, reason, { key: this.keyHex, length: this.opened?.length ?? 0 })
  }

  async close () {
    this.endReaders()
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

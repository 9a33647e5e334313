'use strict'

// The archive's copy of one log. It follows only what continues its own history (`allowFork: false`), says
// that it holds something only once that is on the disk, and never forgets that it saw two histories.

const path = require('node:path')
const { ApiError, unavailable, textOf } = require('./errors')
const { nextEvent } = require('./deadline')
const { ConflictFlag } = require('./conflict')
const { WriteAheadLog } = require('./durability')
const { WitnessHistory } = require('./history')
const { openStorage } = require('./storage')
const { Dialler } = require('./replication')
const { Tenure } = require('./tenure')
const { LogView, headOf } = require('./view')
const { treeHashAt } = require('./proof')
const { Watermark } = require('./watermark')
const logger = require('./logger')

/** @typedef {import('./view').Head} Head */
/** @typedef {import('./config').LogAddress} LogAddress */

const LOOK_EVERY_MS = 500
const MAX_PENDING_HEADS = 4096

class Replica extends LogView {
  /**
   * @param {{ dir: string, key: Buffer, nodeId: string, onSync?: (seconds: number) => void }} options
   * @returns {Promise<Replica>}
   */
  static async open (options) {
    const { core } = await openStorage(options.dir, options.key, { allowFork: false })
    const replica = new Replica(options)
    replica.tenure.begin()
    await replica.start(core)
    return replica
  }

  /** @param {Parameters<typeof Replica.open>[0]} options */
  constructor (options) {
    super(options.key)
    this.options = options
    this.nodeId = options.nodeId
    this.flag = new ConflictFlag(options.dir)
    this.tenure = new Tenure(options.dir)
    this.watermark = new Watermark(path.join(options.dir, 'watermark'))
    this.history = new WitnessHistory(path.join(options.dir, 'history'))
    this.wal = new WriteAheadLog(path.join(options.dir, 'core'))
    /** @type {import('hypercore') | undefined} */
    this.opened = undefined
    /** Blocks held durably and without a gap. */
    this.durable = 0
    /** Signed heads seen whose blocks are not all durable yet. @type {Head[]} */
    this.pendingHeads = []
    this.dirty = false
    /** @type {Promise<void> | null} */
    this.settling = null
    /** @type {InstanceType<typeof Dialler> | null} */
    this.dialler = null
    /** @type {NodeJS.Timeout | undefined} */
    this.timer = undefined
  }

  get core () {
    if (this.opened === undefined) throw unavailable('RECOVERING', 'the replica is being reopened; try again')
    return this.opened
  }

  get durableLength () {
    return this.durable
  }

  /** Blocks that were acknowledged once are missing: the disk was damaged, the sidecar is asked for them again. */
  get recovering () {
    return this.durable < this.watermark.length
  }

  get conflict () {
    return this.flag.found !== null
  }

  get connected () {
    return this.opened !== undefined && this.opened.peers.length > 0
  }

  /** Blocks the sidecar has beyond what is durable here; null when it is not connected. */
  get lag () {
    const spoken = this.opened?.peers.filter(peer => peer.remoteSynced || peer.remoteLength > 0) ?? []
    return spoken.length === 0 ? null : Math.max(0, ...spoken.map(peer => peer.remoteLength - this.durable))
  }

  /** @param {import('hypercore')} core */
  async start (core) {
    this.opened = core
    this.noteHead()
    await this.settle()
    if (this.conflict) return
    core.on('append', () => {
      this.noteHead()
      this.settle()
    })
    core.on('download', () => this.settle())
    core.on('conflict', (length, fork) => this.enterConflict('two signed histories of this log exist', length, fork))
    core.on('verification-error', error => {
      logger.warning('sidecar_contradicts', { node: this.nodeId, error: textOf(error), length: core.length })
    })
    core.download({ start: 0, end: -1 })
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS)
  }

  /**
   * Dial a sidecar from now on, in place of the one before.
   * @param {LogAddress | null} address null: nobody, the log is only kept
   * @param {KeyPair} keyPair the archive's
   * @param {() => void} onRefused
   */
  async follow (address, keyPair, onRefused) {
    await this.dialler?.stop()
    this.dialler = null
    if (address === null || this.conflict || this.closed) return
    this.nodeId = address.nodeId
    this.dialler = new Dialler({
      keyPair,
      host: address.host,
      port: address.port,
      remoteKey: address.replicationKey,
      core: () => this.conflict ? null : this.core,
      onRefused
    })
  }

  noteHead () {
    const { core } = this
    if (core.length > (this.pendingHeads.at(-1)?.length ?? 0)) this.pendingHeads.push(headOf(core))
    if (this.pendingHeads.length > MAX_PENDING_HEADS) this.pendingHeads.shift() // only proofs at exactly its length are lost
  }

  /** With `allowFork: false` a truncated sidecar is ignored without a word; it is a rewritten history all the same. */
  look () {
    const { opened } = this
    if (opened === undefined || opened.closing !== null) return
    const truncated = opened.peers.find(peer => peer.remoteFork > opened.fork)
    if (truncated !== undefined) this.enterConflict('the sidecar truncated its log', truncated.remoteLength, truncated.remoteFork)
    else this.settle()
  }

  /** Make what has arrived durable; calls meanwhile are served by one more round. */
  settle () {
    this.dirty = true
    this.settling ??= this.settleAll().catch(error => {
      if (!(error instanceof ApiError)) throw error // the disk failed: the process starts anew
    }).finally(() => { this.settling = null })
    return this.settling
  }

  async settleAll () {
    while (this.dirty && !this.closed && this.opened?.closing === null) {
      this.dirty = false
      const held = this.core.contiguousLength
      if (held <= this.durable) continue
      const started = process.hrtime.bigint()
      await this.wal.sync()
      this.options.onSync?.(Number(process.hrtime.bigint() - started) / 1e9)
      if (await this.contradicted(held)) return
      this.hold(held, await treeHashAt(this, held))
    }
  }

  /**
   * @param {number} held
   * @returns {Promise<boolean>} blocks fetched again after damage are not the ones acknowledged before
   */
  async contradicted (held) {
    const { length, treeHash } = this.watermark
    if (treeHash === null || held < length || this.durable >= length) return false
    if (treeHash.equals(await treeHashAt(this, length))) return false
    this.enterConflict('its history differs from what this archive acknowledged', length, this.core.fork)
    return true
  }

  /**
   * @param {number} length durable now
   * @param {Buffer} treeHash
   */
  hold (length, treeHash) {
    this.durable = length
    if (length >= this.watermark.length || this.watermark.damaged) this.watermark.raise(length, treeHash)
    this.history.add(length, Date.now())
    const covered = this.pendingHeads.filter(head => head.length <= length)
    this.pendingHeads.splice(0, covered.length)
    for (const head of covered) this.commit(head)
    if (covered.length === 0) this.emit('commit')
  }

  /**
   * @param {number} length
   * @param {number} milliseconds at most
   * @returns {Promise<boolean>} whether at least that much is durable
   */
  async waitFor (length, milliseconds) {
    const end = Date.now() + milliseconds
    while (this.durable < length && !this.closed && Date.now() < end) {
      await nextEvent(this, 'commit', end - Date.now())
    }
    return this.durable >= length && !this.recovering
  }

  /**
   * @param {string} reason
   * @param {number} length
   * @param {number} fork
   */
  async enterConflict (reason, length, fork) {
    if (!this.flag.raise(reason, length, fork)) return
    logger.error('conflict', { node: this.nodeId, key: this.keyHex, reason, length, fork, held: this.durable })
    clearInterval(this.timer)
    const { dialler } = this
    this.dialler = null
    await dialler?.stop()
    await this.settling
    const old = this.opened
    this.opened = undefined
    await old?.close()
    if (this.closed) return
    const { core } = await openStorage(this.options.dir, this.key, { allowFork: false, writable: false })
    this.opened = core
  }

  async close () {
    this.endReaders()
    clearInterval(this.timer)
    await this.dialler?.stop()
    await this.settling
    await this.opened?.close()
    await this.wal.close()
    this.watermark.close()
    this.history.close()
    this.tenure.end()
  }
}

module.exports = { Replica }

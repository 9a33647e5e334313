'use strict'

// Whether a log may hold less than it once did. Three sources, from certain to cautious: the watermark beside
// the log, the archive's word, and signs that the disk or the machine was not left in order.

/** @typedef {import('hypercore')} Core */
/** @typedef {InstanceType<typeof import('./watermark').Watermark>} Watermark */

/**
 * @param {Core} core
 * @param {Watermark} mark
 * @returns {string | null} why this disk holds less than was acknowledged from it
 */
function missing (core, mark) {
  const { length, contiguousLength } = core
  if (length < mark.length) return `${length} blocks here, ${mark.length} were acknowledged`
  return contiguousLength < length ? `block ${contiguousLength} of ${length} is missing` : null
}

/**
 * @param {Core} core
 * @returns {number | null} blocks that the archive says it has; null when it has not spoken yet
 */
function witnessed (core) {
  const spoken = core.peers.filter(peer => peer.remoteSynced || peer.remoteLength > 0)
  return spoken.length === 0 ? null : Math.max(...spoken.map(peer => peer.remoteLength))
}

/**
 * Hypercore takes in a longer signed head by itself, without its blocks; so both lengths count.
 * @param {Core} core
 * @param {Watermark} mark
 * @returns {string | null} why blocks must be fetched before anything is appended
 */
function behind (core, mark) {
  const seen = witnessed(core) ?? 0
  return seen > core.length ? `${core.length} blocks here, the archive has ${seen}` : missing(core, mark)
}

/**
 * @param {Core} core
 * @param {{ doubt: string | null }} tenure
 * @returns {string | null} why to wait for the archive before the first write, however long that takes
 */
function suspicion (core, tenure) {
  // A lost volume and a new log look alike; starting the former anew would fork it at block 0.
  return tenure.doubt ?? (core.length === 0 ? 'the log is empty, and the archive has not said yet whether it is new' : null)
}

module.exports = { witnessed, behind, suspicion }

'use strict'

// From a record's id to its place in the log, for ever and in little memory: 8 bytes a slot, about 13 to 26
// a record. Only a fingerprint is kept; whoever asks reads the candidates' blocks and compares.

/** A hash table from fingerprints of ids to sequence numbers (open addressing, linear probing). */
class IdIndex {
  constructor () {
    this.count = 0
    this.fingerprints = new Uint32Array(1024)
    this.places = new Uint32Array(1024) // sequence number + 1; 0 = free
  }

  /**
   * @param {string} id
   * @param {number} seq below 2^32 - 1
   */
  add (id, seq) {
    if (this.count * 5 >= this.places.length * 3) this.grow()
    this.insert(fingerprint(id), seq + 1)
    this.count++
  }

  /**
   * @param {string} id
   * @returns {number[]} sequence numbers that may hold the id; nearly always none or the one
   */
  candidates (id) {
    const mark = fingerprint(id)
    const mask = this.places.length - 1
    const found = []
    for (let slot = mark & mask; this.places[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.fingerprints[slot] === mark) found.push(/** @type {number} */ (this.places[slot]) - 1)
    }
    return found
  }

  /**
   * @param {number} mark
   * @param {number} place
   */
  insert (mark, place) {
    const mask = this.places.length - 1
    let slot = mark & mask
    while (this.places[slot] !== 0) slot = (slot + 1) & mask
    this.fingerprints[slot] = mark
    this.places[slot] = place
  }

  grow () {
    const { fingerprints, places } = this
    this.fingerprints = new Uint32Array(places.length * 2)
    this.places = new Uint32Array(places.length * 2)
    places.forEach((place, slot) => {
      if (place !== 0) this.insert(/** @type {number} */ (fingerprints[slot]), place)
    })
  }
}

/**
 * FNV-1a over UTF-16 units, then mixed so that the low bits spread. Two ids that collide cost one read.
 * @param {string} id
 * @returns {number} 32 bits
 */
function fingerprint (id) {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}

module.exports = { IdIndex }

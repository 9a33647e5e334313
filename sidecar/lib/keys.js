'use strict'

// Every key of a log comes from its 32-byte seed, so that a Secret with the seed is all there is to keep.

const { createHmac } = require('node:crypto')
const Hypercore = require('hypercore')
const hypercoreCrypto = require('hypercore-crypto')

/** Label under which the replication key is derived; changing it locks every archive out. */
const REPLICATION_LABEL = 'bzzz/replication/1'

/**
 * @param {Buffer} seed 32 bytes
 * @returns {{ keyPair: KeyPair, manifest: object, key: Buffer }} signing key pair, manifest (v1, one Ed25519
 *   signer) and the log's key, which is the manifest's hash
 */
function logKeys (seed) {
  const keyPair = hypercoreCrypto.keyPair(seed)
  const manifest = { version: 1, signers: [{ publicKey: keyPair.publicKey }] }
  return { keyPair, manifest, key: Hypercore.key(manifest) }
}

/**
 * The Noise key by which the archive knows a sidecar: Ed25519 of HMAC-SHA256(seed, label). Not the signing
 * key itself, so that a fault in the transport cannot touch what signs.
 * @param {Buffer} seed the log's seed
 * @returns {KeyPair}
 */
function replicationKeys (seed) {
  return hypercoreCrypto.keyPair(createHmac('sha256', seed).update(REPLICATION_LABEL).digest())
}

/**
 * @param {Buffer} seed the archive's own seed, 32 bytes
 * @returns {KeyPair} the archive's Noise key: Ed25519 of the seed as it is
 */
function archiveKeys (seed) {
  return hypercoreCrypto.keyPair(seed)
}

module.exports = { logKeys, replicationKeys, archiveKeys }

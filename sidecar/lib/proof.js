'use strict'

// Proofs that need nothing but the log's key to check: hmmm.hypercore_proof is the verifier. A bundle holds
// blocks, the tree nodes that a verifier cannot compute from them, and the signed head.

const flat = require('flat-tree')
const hypercoreCrypto = require('hypercore-crypto')
const { ApiError, badRequest, unavailable } = require('./errors')

/** @typedef {InstanceType<typeof import('./view').LogView>} LogView */
/** @typedef {import('./view').Head} Head */

const LIMITS = { blocks: 10_000, bytes: 32 * 1024 * 1024 }

/**
 * @param {LogView} view
 * @param {number[]} seqs ascending, distinct
 * @param {Head} head
 * @returns {Promise<object>} `hypercore-proof/1`
 * @throws {ApiError} 400 out of range, 413 too much for one bundle
 */
async function exportBundle (view, seqs, head) {
  if (seqs.length === 0) throw badRequest('seqs: expected at least one block to prove')
  if (seqs.length > LIMITS.blocks) throw new ApiError(413, 'TOO_LARGE', `proof: expected at most ${LIMITS.blocks} blocks, got ${seqs.length}; ask in parts`)
  const last = /** @type {number} */ (seqs[seqs.length - 1])
  if (last >= head.length) throw badRequest(`block ${last}: expected below the head's length ${head.length}`)
  const blocks = []
  let bytes = 0
  for (const seq of seqs) {
    const block = await view.block(seq)
    bytes += block.length
    if (bytes > LIMITS.bytes) throw new ApiError(413, 'TOO_LARGE', `proof: expected at most ${LIMITS.bytes} bytes of blocks; ask in parts`)
    blocks.push({ seq, data: block.toString('base64') })
  }
  return {
    format: 'hypercore-proof/1',
    ...provenance(view, head),
    blocks,
    nodes: await readNodes(view, nodesFor(seqs.map(seq => 2 * seq), head.length))
  }
}

/**
 * Shows that the log at an earlier length is a prefix of the log at its head: who kept (length, tree hash)
 * from then can check that nothing before was changed.
 * @param {LogView} view
 * @param {number} oldLength
 * @returns {Promise<object>} `hypercore-consistency/1`
 * @throws {ApiError} 400
 */
async function exportConsistency (view, oldLength) {
  const { head } = view
  if (oldLength < 1 || oldLength > head.length) throw badRequest(`length: expected 1 to ${head.length}, got ${oldLength}`)
  const oldRoots = flat.fullRoots(2 * oldLength)
  const indexes = [...new Set([...oldRoots, ...nodesFor(oldRoots, head.length)])].sort((a, b) => a - b)
  return {
    format: 'hypercore-consistency/1',
    ...provenance(view, head),
    oldLength,
    nodes: await readNodes(view, indexes)
  }
}

/**
 * The tree hash at any durable length.
 * @param {LogView} view
 * @param {number} length
 * @returns {Promise<Buffer>}
 */
async function treeHashAt (view, length) {
  if (length === view.head.length) return view.head.treeHash
  return hypercoreCrypto.tree(await fetchNodes(view, flat.fullRoots(2 * length)))
}

/**
 * The nodes that a verifier needs beside the ones it starts from: each path's siblings up to its root, and
 * the remaining roots; none twice, none that it computes itself.
 * @param {number[]} start tree indexes of what the verifier has
 * @param {number} length of the signed head
 * @returns {number[]} ascending
 */
function nodesFor (start, length) {
  const roots = new Set(flat.fullRoots(2 * length))
  const known = new Set()
  const needed = new Set(roots)
  for (const leaf of start) {
    for (let index = leaf; !known.has(index); index = flat.parent(index)) {
      known.add(index)
      if (roots.has(index)) break
      needed.add(flat.sibling(index))
    }
  }
  return [...needed].filter(index => !known.has(index)).sort((a, b) => a - b)
}

/**
 * @param {LogView} view
 * @param {Head} head
 */
function provenance (view, head) {
  const manifest = view.core.getManifest({ raw: true })
  if (manifest === null || head.signature === null) throw badRequest('proof: expected a log with at least one block')
  return {
    key: view.keyHex,
    manifest: manifest.toString('hex'),
    head: { fork: head.fork, length: head.length, signature: head.signature.toString('hex') }
  }
}

/**
 * @param {LogView} view
 * @param {number[]} indexes
 * @returns {Promise<[number, number, string][]>} index, size in bytes, hash
 */
async function readNodes (view, indexes) {
  const nodes = await fetchNodes(view, indexes)
  return nodes.map(node => [node.index, node.size, node.hash.toString('hex')])
}

/**
 * @param {LogView} view
 * @param {number[]} indexes
 * @returns {Promise<TreeNode[]>}
 */
async function fetchNodes (view, indexes) {
  if (view.core.closing !== null) throw unavailable('RECOVERING', 'the log is being reopened; try again')
  const batch = view.core.state.storage.read()
  const reads = indexes.map(index => batch.getTreeNode(index))
  batch.tryFlush()
  const nodes = await Promise.all(reads)
  return nodes.map((node, i) => {
    if (node === null) throw unavailable('RECOVERING', `tree node ${indexes[i]}: not here yet, the log is being healed; try again`)
    return node
  })
}

module.exports = { exportBundle, exportConsistency, treeHashAt }

// What we use of the packages that ship no types, and no more.

interface TreeNode { index: number; size: number; hash: Buffer }
interface Download { destroy(): void }
interface KeyPair { publicKey: Buffer; secretKey: Buffer }

declare module 'hypercore' {
  import { EventEmitter } from 'node:events'
  import { Duplex } from 'node:stream'

  interface NoiseStream { opened: Promise<boolean>; remotePublicKey: Buffer; setTimeout (milliseconds: number): void }
  interface ProtocolStream extends Duplex { noiseStream: NoiseStream }
  interface Peer { remoteLength: number; remoteFork: number; remoteSynced: boolean; remotePublicKey: Buffer }
  interface State {
    length: number
    byteLength: number
    fork: number
    signature: Buffer | null
    roots: TreeNode[]
    storage: { read(): { getTreeNode(index: number): Promise<TreeNode | null>; tryFlush(): void } }
  }

  class Hypercore extends EventEmitter {
    constructor (dir: string, key: Buffer, options: object)
    static key (manifest: object): Buffer
    static createProtocolStream (isInitiator: boolean, options: object): ProtocolStream
    ready (): Promise<void>
    close (): Promise<void>
    append (blocks: Buffer[], options: { keyPair: KeyPair }): Promise<{ length: number }>
    get (index: number, options: { wait: false }): Promise<Buffer | null>
    download (range: { start: number, end: number }): Download
    replicate (stream: ProtocolStream): void
    getManifest (options: { raw: true }): Buffer | null
    key: Buffer
    length: number
    contiguousLength: number
    fork: number
    closing: Promise<void> | null
    peers: Peer[]
    state: State
    core: { header: { hints: { recovering: number } } }
  }
  export = Hypercore
}

declare module 'hypercore-crypto' {
  export function keyPair (seed: Buffer): KeyPair
  export function tree (roots: TreeNode[]): Buffer
}

declare module 'flat-tree' {
  export function fullRoots (index: number): number[]
  export function sibling (index: number): number
  export function parent (index: number): number
}

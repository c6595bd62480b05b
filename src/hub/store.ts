/** Where the files of hub models are kept: Hugging Face's cache in Node, the page's own storage in browsers. */
import type { FileSource } from "../formats/source.ts";

/**
 * Keeps the contents of files by their ETag, and which file of which commit has which content. A content is visible only
 * when it is whole and verified. Methods throw `not_written` if the place refuses, and `aborted`.
 */
export interface HubStore {
  /** Where it is, for messages: a folder, or `this browser`. */
  readonly label: string;
  /** The commit that a branch or tag was at when it was last asked for; null if it never was. */
  commitOf(repo: string, revision: string): Promise<string | null>;
  /** Remembers it. Does nothing if the revision is the commit. */
  setCommit(repo: string, revision: string, commit: string): Promise<void>;
  /** The files that are there of a commit, with their bytes, by paths in the repository. */
  files(repo: string, commit: string): Promise<ReadonlyMap<string, number>>;
  /** Whether the hub said before that a commit has no such file. */
  isAbsent(repo: string, commit: string, path: string): Promise<boolean>;
  setAbsent(repo: string, commit: string, path: string): Promise<void>;
  /** Gives a commit a file whose content is there already. @returns false if the content is not there */
  link(file: StoredFile): Promise<boolean>;
  /**
   * Refuses a download that cannot fit, before it starts.
   * @throws SluiceError `not_written`
   */
  checkRoom(bytes: number): Promise<void>;
  /**
   * Opens what has come of a content, for this process or page alone, and waits while another has it.
   * @param onWait called once if another has it
   * @returns null if the content is there as a whole, perhaps by the other's work: it can be linked
   */
  openPartial(file: StoredFile, signal: AbortSignal | undefined, onWait: () => void): Promise<PartialFile | null>;
  /** The files of a commit that are there, for reading. */
  open(repo: string, commit: string): Promise<FileSource>;
  /** Every model that is kept, in the order of their names. */
  models(): Promise<readonly CachedModel[]>;
  /**
   * Removes a model, or one commit with the contents that no other commit has.
   * @returns bytes that became free
   */
  remove(repo: string, commit?: string): Promise<number>;
  /** Removes a content that proved wrong, and the files that have it. */
  discard(repo: string, etag: string): Promise<void>;
}

/** A file of a commit, and the name of its content. */
export interface StoredFile {
  readonly repo: string;
  readonly commit: string;
  readonly path: string;
  readonly etag: string;
}

/** The beginning of a content, which grows. */
export interface PartialFile {
  /** Bytes that are there. */
  readonly size: number;
  /** Adds bytes at the end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Bytes [begin, end), which must be there. Still serves after {@link commit}, until {@link close}. */
  read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Drops what is there, to begin again. */
  restart(): Promise<void>;
  /** The content is whole and right: makes it the file of its commit. */
  commit(): Promise<void>;
  /** Ends the work on it. What has come is kept if it was not committed. May be called again. */
  close(): Promise<void>;
}

/** A model in a store. */
export interface CachedModel {
  /** `org/name` */
  readonly repo: string;
  /** The folder that holds it, or what is like one. */
  readonly where: string;
  /** Of all contents, each counted once, without unfinished ones. */
  readonly bytes: number;
  /** Of unfinished downloads. */
  readonly partialBytes: number;
  /** When one of its files was last read or written; null if unknown. */
  readonly lastUsed: Date | null;
  /** Its commits, of which files are there. */
  readonly revisions: readonly CachedRevision[];
}

/** A commit of a model in a store. */
export interface CachedRevision {
  /** Its name, 40 hexadecimal digits on the hub. */
  readonly commit: string;
  /** Branches and tags that were at this commit when they were last asked for. */
  readonly refs: readonly string[];
  /** Those that are there. */
  readonly files: readonly CachedFile[];
}

/** A file of a commit in a store. */
export interface CachedFile {
  /** The file, in its repository. */
  readonly path: string;
  /** Its length. */
  readonly bytes: number;
  /** The name of its content; null if the store kept none, as on systems without symbolic links. */
  readonly etag: string | null;
}

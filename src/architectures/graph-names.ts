/** Names of a checkpoint's tensors. */
export interface GraphNames {
  /** The prefix of the names, such as `model.`, or nothing: files have both spellings. */
  readonly prefix: string;
  /** Names of the token embedding and of the head, which may be one tensor. */
  readonly embedding: string;
  readonly head: string;
}

/** How the tensors of a checkpoint are named. */
export interface GraphNames {
  /** What stands before the names, such as `model.`, or nothing: files have both spellings. */
  readonly prefix: string;
  /** Of the token embedding and of the head, which may be one tensor. */
  readonly embedding: string;
  readonly head: string;
}

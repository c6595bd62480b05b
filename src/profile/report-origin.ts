/** When, where and by what a profile was made: reports and traces include it, since numbers mean little without it. */
export interface ReportOrigin {
  /** Such as `2026-11-29T00:21:53Z`. */
  readonly date: string;
  /** The machine. */
  readonly host: string;
  /** The command line, or the page. */
  readonly command: string;
}

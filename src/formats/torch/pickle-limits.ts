/** What a pickle may pile up: far more than Python writes, and far less than memory. */

/** An integer of more bytes than a bigint needs to be is made to cost time. */
export const MOST_INTEGER_BYTES = 64;

/**
 * Lists, tuples and dicts that a file may have, and values that may be under way at a time. A circuit of GPT-2 small,
 * which has the most, has half as many; nesting without end takes more.
 */
export const MOST_CONTAINERS = 1 << 18;

/** Values that may wait to become part of a container: Python puts a thousand at a time into lists and dicts. */
export const MOST_WAITING = 1 << 20;

/** Values that a pickle may name, to be used again: every container and every text, as Python writes it. */
export const MOST_REMEMBERED = 1 << 19;

/** All filters and tests, by name. */
import { LIST_FILTERS } from "./filters-lists.ts";
import { selectFilters } from "./filters-select.ts";
import { TEXT_FILTERS } from "./filters-text.ts";
import { VALUE_FILTERS } from "./filters-values.ts";
import type { Native } from "./natives.ts";
import { makeTests } from "./tests.ts";

/** Some of them take others by name, so they get all. */
export const TESTS: ReadonlyMap<string, Native> = makeTests(() => FILTERS);

export const FILTERS: ReadonlyMap<string, Native> = new Map<string, Native>([
  ...TEXT_FILTERS,
  ...VALUE_FILTERS,
  ...LIST_FILTERS,
  ...selectFilters(() => FILTERS, TESTS),
]);

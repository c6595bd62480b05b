/** Steps of the heat map, by KL(plain ‖ edited) in nats. */
const steps = [0.1, 0.5, 1, 2] as const;

/** From 0, no change to speak of, to 4. */
export function heatOf(kl: number | null): number {
  if (kl === null) return 0;
  return steps.filter((step) => kl >= step).length;
}

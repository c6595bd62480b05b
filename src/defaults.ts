/** Defaults of the library's options: the code takes them from here, and help texts print them. */

/** Defaults of a generation; without a seed, one is drawn. */
export const generateDefaults = {
  maxNewTokens: 128,
  samples: 1,
  overflow: "stop",
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
} as const;

/** Defaults of a running batch: sequences, and rows of prompts that a step takes beside those that decode. */
export const batchDefaults = { sequences: 16, prefillRows: 64 } as const;

export const compareDefaults = { most: 10 } as const;

export const compareTokensDefaults = { top: 5 } as const;

export const lensDefaults = { top: 3 } as const;

/** Tokens, if the context allows; repetitions for a model alone, and with interventions for comparison. */
export const benchDefaults = { promptTokens: 64, newTokens: 16, repetitions: 5, pairedRepetitions: 11 } as const;

export const profileDefaults = { newTokens: 8 } as const;

export const auraDefaults = { variant: "aura", factor: 0.5 } as const;

/** The bound is in nats. */
export const layerChoiceDefaults = { klBound: 0.1 } as const;

export const probeDefaults = { l2: 1 } as const;

export const neuronDefaults = { alpha: 0.05, share: 0.5 } as const;

export const edgeFitDefaults = {
  method: "attribution+greedy",
  replace: "mean",
  edges: 12,
  shortlist: 32,
  badWeight: 0.2,
  epochs: 300,
  ramp: 1e-3,
} as const;

export const judgeDefaults = { method: "logistic", l2: 1 } as const;

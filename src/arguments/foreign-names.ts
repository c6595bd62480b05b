/** Other libraries' names for our options. Names that differ only in case or underscores need no entry. */
export const foreignNames: ReadonlyMap<string, string> = new Map([
  ...["maxTokens", "max_tokens", "max_completion_tokens", "maxCompletionTokens", "maxLength", "max_length"].map(
    (name) => [name, "maxNewTokens"] as const,
  ),
  ...["n_predict", "num_predict", "numPredict"].map((name) => [name, "maxNewTokens"] as const),
  ...["n", "best_of", "num_return_sequences", "numReturnSequences"].map((name) => [name, "samples"] as const),
  ...["stopStrings", "stop_strings", "stopSequences", "stop_sequences"].map((name) => [name, "stop"] as const),
  ...["eos_token_id", "eosTokenId", "stop_token_ids", "stopTokenIds"].map((name) => [name, "stopTokens"] as const),
  ...["repeat_penalty", "repeatPenalty"].map((name) => [name, "repetitionPenalty"] as const),
  ...["n_ctx", "num_ctx", "numCtx", "contextLength", "context_length"].map((name) => [name, "context"] as const),
  ...["abort", "abortSignal", "abort_signal"].map((name) => [name, "signal"] as const),
  ...["strength", "scale", "scales"].map((name) => [name, "strengths"] as const),
  ...["alpha", "alphas"].map((name) => [name, "params"] as const),
  ...["progress", "progress_callback", "progressCallback"].map((name) => [name, "onProgress"] as const),
  ...["quantization", "quantized", "dtype"].map((name) => [name, "quantize"] as const),
  ...["random_seed", "randomSeed"].map((name) => [name, "seed"] as const),
]);

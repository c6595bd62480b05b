// Shows the tokens that follow token 1, or what went wrong.
import { load, SluiceError } from "sluice";

const output = document.querySelector("output") ?? document.body;
try {
  const model = await load(new URL("weights/", document.baseURI));
  const maxNewTokens = Number(new URLSearchParams(location.search).get("new_tokens"));
  const tokens: number[] = [];
  for await (const { token } of model.generate([1], { maxNewTokens })) tokens.push(token);
  output.textContent = JSON.stringify(tokens);
  model.dispose();
} catch (error) {
  const code = error instanceof SluiceError ? error.code : "unforeseen";
  output.textContent = JSON.stringify(`${code}: ${String(error)}`);
}

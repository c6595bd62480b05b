// Shows the tokens that follow token 1, as the engine in its worker finds them.
import { openEngine } from "sluice/worker";

const output = document.querySelector("output") ?? document.body;
const engine = await openEngine();
const model = await engine.load(new URL("/weights/", location.origin));
const maxNewTokens = Number(new URLSearchParams(location.search).get("new_tokens"));
const { tokens } = await model.generate([1], { maxNewTokens }).result();
output.textContent = JSON.stringify(tokens);
engine.dispose();

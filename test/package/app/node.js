// node node.js MODEL NEW_TOKENS: prints the tokens that follow token 1.
import { load } from "sluice";

const [path, count] = process.argv.slice(2);
const model = await load(path);
const result = await model.generate([1], { maxNewTokens: Number(count) }).result();
console.log(JSON.stringify(result.tokens));
model.dispose();

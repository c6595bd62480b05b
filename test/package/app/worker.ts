import { load } from "sluice";

const model = load(new URL("/weights/", location.origin));
self.onmessage = async ({ data }) => {
  const { tokens } = await (await model).generate([1], { maxNewTokens: data }).result();
  postMessage(tokens);
};

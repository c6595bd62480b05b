/**
 * A device that compiles each shader once. Dawn forgets a pipeline with its last user, and on a software device half of
 * a test's time would go into compiling what another test has just compiled.
 */

/**
 * Makes a device hand out the same pipeline for the same source and layout, as long as the device lives.
 *
 * What does not compile is not remembered, and validation sees every shader.
 * @returns the device
 */
export function rememberPipelines(device: GPUDevice): GPUDevice {
  const sources = new WeakMap<GPUShaderModule, string>();
  const groups = new WeakMap<GPUBindGroupLayout, string>();
  const layouts = new WeakMap<GPUPipelineLayout, string>();
  const pipelines = new Map<string, Promise<GPUComputePipeline>>();

  const createShaderModule = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) => {
    const module = createShaderModule(descriptor);
    sources.set(module, descriptor.code);
    return module;
  };
  const createBindGroupLayout = device.createBindGroupLayout.bind(device);
  device.createBindGroupLayout = (descriptor) => {
    const layout = createBindGroupLayout(descriptor);
    groups.set(layout, JSON.stringify([...descriptor.entries]));
    return layout;
  };
  const createPipelineLayout = device.createPipelineLayout.bind(device);
  device.createPipelineLayout = (descriptor) => {
    const layout = createPipelineLayout(descriptor);
    layouts.set(layout, [...descriptor.bindGroupLayouts].map((group) => group && groups.get(group)).join("\n"));
    return layout;
  };
  const createComputePipelineAsync = device.createComputePipelineAsync.bind(device);
  device.createComputePipelineAsync = (descriptor) => {
    const { layout, compute } = descriptor;
    const source = sources.get(compute.module);
    const bindings = layout === "auto" ? undefined : layouts.get(layout);
    if (source === undefined || bindings === undefined || compute.entryPoint || compute.constants) {
      return createComputePipelineAsync(descriptor);
    }
    const key = `${bindings}\n${source}`;
    const known = pipelines.get(key);
    if (known) return known;
    const pipeline = createComputePipelineAsync(descriptor);
    pipelines.set(key, pipeline);
    pipeline.catch(() => pipelines.delete(key));
    return pipeline;
  };
  return device;
}

// Nothing here is for tokenformer-web. Addresses relative to the page: the build can be put under any path.
export default { base: "./" };

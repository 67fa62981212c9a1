// Nothing here is for tokenformer-web. The page is exported as files, so that any host can serve it.
export default { output: "export" };

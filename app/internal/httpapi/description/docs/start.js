// In a file of its own, because the page's policy allows no script within it. The badge that validatorUrl would draw is
// fetched from elsewhere; nothing here is.
SwaggerUIBundle({
  url: '/openapi.yaml',
  dom_id: '#viewer',
  deepLinking: true,
  validatorUrl: null,
});

"use strict";

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  filter: true,
  // The validator is a service on the Internet, and a token is gone with the page.
  validatorUrl: null,
  persistAuthorization: false,
});

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globalSetup: "./tieline.js",
    // All tests share one server, which they reset.
    fileParallelism: false,
  },
});

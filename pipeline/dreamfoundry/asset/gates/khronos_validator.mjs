// Runs the Khronos glTF validator over the files named on the command line, all in one process.
// Usage: node khronos_validator.mjs MODULE_FOLDER FILE...   Answer: one JSON object on standard
// output, {"<file>": <report>, ...}. A file that cannot be read as glTF at all gives {"failed": "<why>"}.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [moduleFolder, ...files] = process.argv.slice(2);
const validator = createRequire(import.meta.url)(moduleFolder);
const reports = {};
for (const file of files) {
  try {
    reports[file] = await validator.validateBytes(new Uint8Array(readFileSync(file)), {
      uri: file,
      maxIssues: 0,
      writeTimestamp: false,
      externalResourceFunction: () => Promise.reject(new Error("a delivered file stands alone")),
    });
  } catch (error) {
    reports[file] = { failed: String(error) };
  }
}
process.stdout.write(JSON.stringify(reports));

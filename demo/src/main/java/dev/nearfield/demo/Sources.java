// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Where definitions and vectors come from.
 *
 * @param version changes whenever the dictionary, its order or the vectors may
 * @param dimension floats in a vector
 * @param dictionary slow: asked only when the cache does not hold enough
 * @param embedder slow: asked once
 */
record Sources(
    Path cache,
    String version,
    int dimension,
    Supplier<List<Definition>> dictionary,
    Supplier<Embedder> embedder) {

  static Sources ofMachine() {
    Path folder = cacheFolder(System.getenv(), Path.of(System.getProperty("user.home")));
    return new Sources(
        folder.resolve("demo.embeddings"),
        MiniLm.version() + ", " + WordNet.version(),
        MiniLm.DIMENSION,
        WordNet::definitions,
        () -> MiniLm.load(folder.resolve("tokenizer")));
  }

  /** By the XDG base directory specification, which ignores relative paths. */
  static Path cacheFolder(Map<String, String> environment, Path home) {
    String xdg = environment.getOrDefault("XDG_CACHE_HOME", "");
    Path base = !xdg.isEmpty() && Path.of(xdg).isAbsolute() ? Path.of(xdg) : home.resolve(".cache");
    return base.resolve("nearfield");
  }
}

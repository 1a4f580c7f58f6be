// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import dev.nearfield.BackendKind;
import dev.nearfield.internal.load.PackagedLibrary.Folder;
import java.io.File;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.module.FindException;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReader;
import java.lang.module.ModuleReference;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Finds native libraries in jars: where this class comes from, where the current thread's context
 * class loader looks, and on the module path, whether the module of the jar was resolved or not.
 */
final class PackagedLibraries {
  /** For which libraries are made; a jar of another platform is recognised by these names. */
  private static final List<String> PLATFORMS =
      List.of("linux-x86_64", "linux-aarch_64", "osx-aarch_64", "osx-x86_64", "windows-x86_64");

  private PackagedLibraries() {}

  /** Resource folders that hold a library of this backend and platform, by their place. */
  static Map<String, Folder> folders(BackendKind kind, String platform) throws IOException {
    String folder = PackagedLibrary.folder(kind, platform);
    Map<String, Folder> found = new LinkedHashMap<>();
    for (ClassLoader loader : loaders()) {
      for (URL url :
          Collections.list(loader.getResources(folder + PackagedLibrary.propertiesFile(kind)))) {
        String text = url.toString();
        String place = text.substring(0, text.lastIndexOf('/') + 1);
        found.putIfAbsent(place, file -> open(loader, folder + file, place + file));
      }
    }
    if (found.isEmpty()) {
      fromModules(kind, platform, folder, found);
    }
    return found;
  }

  /** The platforms, other than this one, for which there is a library of this backend. */
  static List<String> otherPlatforms(BackendKind kind, String platform) {
    return PLATFORMS.stream()
        .filter(other -> !other.equals(platform))
        .filter(
            other -> {
              String file =
                  PackagedLibrary.folder(kind, other) + PackagedLibrary.propertiesFile(kind);
              return loaders().stream().anyMatch(loader -> loader.getResource(file) != null)
                  || onModulePath(moduleName(kind, other)).isPresent();
            })
        .toList();
  }

  private static Set<ClassLoader> loaders() {
    Set<ClassLoader> loaders = new LinkedHashSet<>();
    Stream.of(
            PackagedLibraries.class.getClassLoader(),
            Thread.currentThread().getContextClassLoader())
        .filter(loader -> loader != null)
        .forEach(loaders::add);
    return loaders;
  }

  /** The file of that URL: another jar may have one of the same name. */
  private static @Nullable InputStream open(ClassLoader loader, String name, String url)
      throws IOException {
    for (URL candidate : Collections.list(loader.getResources(name))) {
      if (candidate.toString().equals(url)) {
        URLConnection connection = candidate.openConnection();
        connection.setUseCaches(false); // a cache would keep the jar open
        return connection.getInputStream();
      }
    }
    return null;
  }

  /** {@code dev.nearfield.natives.cpu.linux.x86_64}. */
  private static String moduleName(BackendKind kind, String platform) {
    return "dev.nearfield.natives." + kind.id() + "." + platform.replace('-', '.');
  }

  /**
   * A module of resources only is not resolved unless somebody requires it, so class loaders do not
   * see it; and a layer may have a loader for each module.
   */
  private static void fromModules(
      BackendKind kind, String platform, String folder, Map<String, Folder> found) {
    String name = moduleName(kind, platform);
    ModuleLayer layer = PackagedLibraries.class.getModule().getLayer();
    Optional<Module> resolved = layer == null ? Optional.empty() : layer.findModule(name);
    if (resolved.isPresent()) {
      found.put("module " + name, file -> resolved.get().getResourceAsStream(folder + file));
      return;
    }
    onModulePath(name)
        .ifPresent(
            module ->
                found.put(
                    module.location().map(Object::toString).orElse("module " + name),
                    file -> open(module, folder + file)));
  }

  private static Optional<ModuleReference> onModulePath(String name) {
    String path = System.getProperty("jdk.module.path", "");
    if (path.isEmpty()) {
      return Optional.empty();
    }
    try {
      return ModuleFinder.of(
              Stream.of(path.split(File.pathSeparator)).map(Path::of).toArray(Path[]::new))
          .find(name);
    } catch (FindException | IllegalArgumentException e) {
      return Optional.empty(); // the JVM started with it: what is wrong there is none of our jars
    }
  }

  private static @Nullable InputStream open(ModuleReference module, String name)
      throws IOException {
    ModuleReader reader = module.open();
    Optional<InputStream> in = reader.open(name);
    if (in.isEmpty()) {
      reader.close();
      return null;
    }
    return new FilterInputStream(in.get()) {
      @Override
      public void close() throws IOException {
        super.close();
        reader.close();
      }
    };
  }
}

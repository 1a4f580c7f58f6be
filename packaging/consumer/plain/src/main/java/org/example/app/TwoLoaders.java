// SPDX-License-Identifier: Apache-2.0
package org.example.app;

import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.List;

/** Runs App in two class loaders at once, as two applications in one server would. */
public final class TwoLoaders {
  private TwoLoaders() {}

  public static void main(String[] arguments) throws Exception {
    Callable<String> search = TwoLoaders::searchInOwnLoader;
    try (ExecutorService threads = Executors.newFixedThreadPool(2)) {
      for (Future<String> answer : threads.invokeAll(List.of(search, search))) {
        System.out.println(answer.get());
      }
    }
  }

  private static String searchInOwnLoader() throws Exception {
    String[] classPath = System.getProperty("java.class.path").split(File.pathSeparator);
    URL[] urls = new URL[classPath.length];
    for (int i = 0; i < urls.length; i++) {
      urls[i] = Path.of(classPath[i]).toUri().toURL();
    }
    try (URLClassLoader loader = new URLClassLoader(urls, ClassLoader.getPlatformClassLoader())) {
      Class<?> app = loader.loadClass("org.example.app.App");
      if (app == App.class) {
        throw new IllegalStateException("App was not loaded anew");
      }
      var search = app.getDeclaredMethod("search", String[].class);
      search.setAccessible(true);
      return (String) search.invoke(null, (Object) new String[0]);
    }
  }
}

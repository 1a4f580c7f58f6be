// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.turn.Completer;
import dev.nearfield.internal.turn.DeviceOwner;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ref.WeakReference;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** An application that used the library and was undeployed is collected; the library stays. */
@Timeout(120)
class UndeployTest {
  /** As the context of a web application: its classes, and those of the library from above. */
  private static final class ApplicationLoader extends ClassLoader {
    ApplicationLoader() {
      super(UndeployTest.class.getClassLoader());
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.startsWith(Application.class.getName())) {
        return super.loadClass(name, resolve);
      }
      Class<?> loaded = findLoadedClass(name);
      return loaded != null ? loaded : define(name);
    }

    private Class<?> define(String name) throws ClassNotFoundException {
      String file = name.substring(name.lastIndexOf('.') + 1) + ".class";
      try (InputStream in = UndeployTest.class.getResourceAsStream(file)) {
        byte[] bytes = in.readAllBytes();
        return defineClass(name, bytes, 0, bytes.length);
      } catch (IOException e) {
        throw new ClassNotFoundException(name, e);
      }
    }
  }

  /** Everything that an application can leave behind. */
  public static final class Application implements Runnable, IndexListener {
    private static final InheritableThreadLocal<Object> LOCAL = new InheritableThreadLocal<>();

    @Override
    public void run() {
      Thread.currentThread().setContextClassLoader(getClass().getClassLoader());
      LOCAL.set(new Application());
      Device device = Accelerators.device("java");
      try (AcceleratedVectorIndex index =
          AcceleratedVectorIndex.builder(2, Metric.DOT)
              .device(device)
              .listener(this)
              .executor(task -> new Thread(task).start())
              .build()) {
        VectorHandle one = index.add(new float[] {1, 2});
        index.add(new float[] {3, 4});
        SearchRequest request =
            SearchRequest.builder()
                .query(new float[] {1, 1})
                .topK(1)
                .timeout(Duration.ofMinutes(5))
                .filter(handle -> !handle.equals(one))
                .build();
        index.search(request);
        index.searchAsync(request).get(20, TimeUnit.SECONDS);
        CompletableFuture<SearchResult> given = index.searchAsync(request);
        given.cancel(true);
        index.remove(one);
        index.compact().get(20, TimeUnit.SECONDS);
        index.retryAcceleration().get(20, TimeUnit.SECONDS);
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
      VectorBatch two = VectorBatch.of(new float[][] {{1, 2}, {3, 4}});
      Knn.search(device, Metric.DOT, two, two, 1);
    }

    @Override
    public void onFallback(String operation, FallbackReason reason, Throwable cause) {}
  }

  private static WeakReference<ClassLoader> deployAndUndeploy() throws Exception {
    ClassLoader loader = new ApplicationLoader();
    Class<?> application = loader.loadClass(Application.class.getName());
    assertSame(loader, application.getClassLoader());
    Runnable run = (Runnable) application.getDeclaredConstructor().newInstance();
    AtomicReference<Throwable> wrong = new AtomicReference<>();
    Thread thread =
        new Thread(
            new ThreadGroup("application"),
            () -> {
              try {
                run.run();
              } catch (Throwable e) {
                wrong.set(e);
              }
            });
    thread.start();
    thread.join();
    if (wrong.get() != null) {
      throw new AssertionError(wrong.get());
    }
    return new WeakReference<>(loader);
  }

  private static List<Thread> ours() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith("nearfield-"))
        .toList();
  }

  @Test
  void anApplicationThatIsGoneIsCollected() throws Exception {
    WeakReference<ClassLoader> application = deployAndUndeploy();
    List<Thread> kept = new ArrayList<>(ours());
    assertTrue(
        kept.stream().anyMatch(thread -> thread.getName().equals("nearfield-java:0")),
        "the device is open for a while: " + kept);
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (application.get() != null && System.nanoTime() < deadline) {
      System.gc();
      Thread.sleep(20);
    }
    assertNull(application.get(), "the class loader of the application is still referenced");
    assertTrue(kept.stream().anyMatch(Thread::isAlive), "too late to show anything");
  }

  private static final InheritableThreadLocal<String> LOCAL = new InheritableThreadLocal<>();

  private record Seen(String local, ClassLoader loader, String group) {}

  private static Seen seen() {
    Thread here = Thread.currentThread();
    return new Seen(LOCAL.get(), here.getContextClassLoader(), here.getThreadGroup().getName());
  }

  /** The threads that a user can look from: the owner thread, and the one that calls executors. */
  @Test
  void threadsInheritNothing() throws Exception {
    CompletableFuture<Seen> owner = new CompletableFuture<>();
    CompletableFuture<Seen> executor = new CompletableFuture<>();
    Thread maker =
        new Thread(
            new ThreadGroup("application"),
            () -> {
              LOCAL.set("of the first caller");
              Thread.currentThread().setContextClassLoader(new ApplicationLoader());
              DeviceOwner own = DeviceOwner.of(new FakeEngine());
              own.seat(
                      (e, scratch, until) -> {
                        owner.complete(seen());
                        return DeviceOwner.IDLE;
                      })
                  .ready();
              new Completer(
                      task -> {
                        executor.complete(seen());
                        task.run();
                      })
                  .run(() -> {});
              owner.join();
              own.release();
            });
    maker.start();
    maker.join();
    for (CompletableFuture<Seen> where : List.of(owner, executor)) {
      Seen seen = where.get(20, TimeUnit.SECONDS);
      assertNull(seen.local);
      assertSame(ClassLoader.getSystemClassLoader(), seen.loader);
    }
    assertEquals("system", owner.get().group);
  }
}

// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.Accelerators;
import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.Device;
import dev.nearfield.Metric;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Nearfield through its Java API, as a worker of the benchmark: the protocol of bench/README.md.
 */
public final class Worker {
  /** The protocol has a name for it: what this system does not have is no failure of the run. */
  private static final class Unsupported extends Exception {
    private static final long serialVersionUID = 1;

    Unsupported(String message) {
      super(message);
    }
  }

  /** The members of a command, with the protocol's defaults. */
  private record Command(Map<String, @Nullable Object> members) {
    String text(String name, String absent) {
      return members.get(name) == null ? absent : members.get(name).toString();
    }

    String text(String name) {
      if (members.get(name) == null) {
        throw new IllegalArgumentException("command: [%s] is missing".formatted(name));
      }
      return members.get(name).toString();
    }

    int number(String name, int absent) {
      Object value = members.get(name);
      if (value == null) {
        return absent;
      }
      if (value instanceof Double number && number.intValue() == number && number >= 0) {
        return number.intValue();
      }
      throw new IllegalArgumentException(
          "command: %s is [%s], a count is expected".formatted(name, value));
    }
  }

  private @Nullable Device device;
  private @Nullable Searches searches;

  private Worker() {}

  /** Serves stdin and stdout. */
  public static void main(String[] arguments) throws IOException {
    PrintStream replies = System.out;
    System.setOut(System.err); // stdout belongs to the protocol
    serve(new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)), replies);
  }

  /** Serves commands until the end of the input or {@code quit}. */
  static void serve(BufferedReader commands, PrintStream replies) throws IOException {
    Worker worker = new Worker();
    boolean more = true;
    for (String line = commands.readLine();
        line != null;
        line = more ? commands.readLine() : null) {
      Map<String, Object> reply = new LinkedHashMap<>();
      try {
        reply.put("ok", true);
        more = worker.serve(new Command(FlatJson.read(line)), reply);
      } catch (Unsupported | UnsupportedOperationException e) {
        reply = failure(e);
        reply.put("unsupported", true);
      } catch (Exception | OutOfMemoryError e) {
        reply = failure(e);
      }
      replies.println(FlatJson.write(reply));
      replies.flush();
    }
    worker.drop();
  }

  private static Map<String, Object> failure(Throwable e) {
    Map<String, Object> reply = new LinkedHashMap<>();
    reply.put("ok", false);
    boolean says =
        e.getMessage() != null
            && !(e instanceof FileSystemException); // that one names only the file
    reply.put("error", says ? e.getMessage() : e.toString());
    return reply;
  }

  private boolean serve(Command command, Map<String, Object> reply) throws Exception {
    String name = command.text("command");
    switch (name) {
      case "hello" -> hello(command, reply);
      case "load" -> {
        drop();
        searches =
            Searches.load(
                device(),
                metric(command),
                Path.of(command.text("base")),
                command.text("scan_dtype", Encodings.F32),
                reply);
      }
      case "workload" ->
          loaded()
              .workload(
                  Path.of(command.text("queries")),
                  command.number("batch", 1),
                  command.number("k", 10),
                  command.number("clients", 1),
                  reply);
      case "run" -> loaded().run(command.number("calls", 1), reply);
      case "answers" -> loaded().answers(command.text("to"), command.number("count", 0));
      case "insert" ->
          Inserts.run(
              device(),
              metric(command),
              Path.of(command.text("base")),
              command.number("batch", 0),
              command.number("before", 0),
              command.text("scan_dtype", Encodings.F32),
              reply);
      case "turns" ->
          Turns.run(
              command.text("scenario"),
              new Turns.Setting(
                  device(),
                  command.number("rows", 1000),
                  command.number("dim", 16),
                  command.number("queries", 100),
                  command.number("probes", 1),
                  command.number("seconds", 0),
                  command.number("rounds", 1),
                  command.number("pace_us", 1000) * 1000L),
              reply);
      case "quit" -> {
        return false;
      }
      default -> throw new IllegalArgumentException("command: [%s] is unknown".formatted(name));
    }
    return true;
  }

  private void hello(Command command, Map<String, Object> reply) throws Unsupported {
    int cores = Runtime.getRuntime().availableProcessors();
    int threads = command.number("threads", 0);
    if (threads != 0 && threads != cores) {
      throw new Unsupported(
          "hello: [%d] threads, the Java API uses all %d that the process may"
              .formatted(threads, cores));
    }
    String path = command.text("path", "");
    if (!path.isEmpty()) {
      throw new Unsupported(
          "hello: instruction path [%s], the Java API takes the best".formatted(path));
    }
    String library = command.text("library", "");
    if (!library.isEmpty()) {
      System.setProperty("java.library.path", library);
    }
    Device found = Accelerators.device(command.text("backend", "cpu"));
    device = found;
    reply.put("system", "nearfield-java");
    reply.put("version", version(found.backend()));
    reply.put("backend", found.backend().id());
    reply.put("device", found.name());
    reply.put("settings", "Java " + Runtime.version().feature());
    reply.put("threads", found.backend() == BackendKind.JAVA ? 1 : cores);
  }

  /** What the native library says of itself; of the plain-Java backend the version of its jar. */
  private static String version(BackendKind backend) {
    for (BackendStatus status : Accelerators.probe()) {
      if (status instanceof BackendStatus.Available available
          && available.kind() == backend
          && available.library().isPresent()) {
        return available.library().get().build();
      }
    }
    String version = Accelerators.class.getPackage().getImplementationVersion();
    return version == null ? "this checkout" : version;
  }

  private static Metric metric(Command command) {
    String name = command.text("metric", "l2");
    return switch (name) {
      case "l2" -> Metric.L2_SQUARED;
      case "cosine" -> Metric.COSINE;
      case "dot" -> Metric.DOT;
      case "poincare" -> Metric.POINCARE;
      case "manhattan" -> Metric.MANHATTAN;
      default -> throw new IllegalArgumentException("command: [%s] is no metric".formatted(name));
    };
  }

  private Device device() {
    if (device == null) {
      throw new IllegalStateException("command: hello comes first");
    }
    return device;
  }

  private Searches loaded() {
    if (searches == null) {
      throw new IllegalStateException("command: load comes first");
    }
    return searches;
  }

  private void drop() {
    if (searches != null) {
      searches.close();
      searches = null;
    }
  }
}

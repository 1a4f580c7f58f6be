// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.internal.table.HandleBits;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Runs operations on an index and on a list of vectors side by side, and compares every answer. */
public class ModelRun {
  /** A vector that should be in the index; the order of the list is the order of ties. */
  private record Entry(VectorHandle handle, float[] vector) {}

  /** The index and the model disagree. */
  private static final class Disagreement extends RuntimeException {
    private static final long serialVersionUID = 1;

    Disagreement(String message) {
      super(message);
    }
  }

  private final AcceleratedVectorIndex index;
  private final Metric metric;
  private final List<Entry> live = new ArrayList<>();
  private final List<VectorHandle> stale = new ArrayList<>();
  // That nobody has waited for.
  private @Nullable CompletableFuture<TrainingReport> training;
  private @Nullable CompletableFuture<MaintenanceReport> maintenance;

  public ModelRun(AcceleratedVectorIndex index, Metric metric) {
    this.index = index;
    this.metric = metric;
  }

  /** What went wrong first, or null. */
  @Nullable
  public String run(List<ModelOp> ops) {
    for (int i = 0; i < ops.size(); i++) {
      try {
        apply(ops.get(i));
      } catch (RuntimeException | Error e) {
        return "operation %d, %s: %s".formatted(i, describe(ops.get(i)), e);
      }
    }
    try {
      trained();
    } catch (RuntimeException | Error e) {
      return "training: " + e;
    }
    return null;
  }

  private void apply(ModelOp op) {
    switch (op) {
      case ModelOp.Add add -> added(index.add(add.vector()), add.vector());
      case ModelOp.AddAll all -> {
        VectorHandles handles = index.addAll(VectorBatch.of(all.vectors()));
        require(handles.size() == all.vectors().length, "answered %d handles", handles.size());
        for (int i = 0; i < handles.size(); i++) {
          added(handles.get(i), all.vectors()[i]);
        }
      }
      case ModelOp.Remove(int pick) -> {
        if (!live.isEmpty()) {
          Entry entry = live.get(pick % live.size());
          require(index.remove(entry.handle), "answered false for a live handle");
          forget(entry);
          stale.add(entry.handle);
        }
      }
      case ModelOp.RemoveAll(int pick, int count) -> {
        List<Entry> some = new ArrayList<>();
        for (int i = 0; i < Math.min(count, live.size()); i++) {
          some.add(live.get((pick + i) % live.size()));
        }
        List<VectorHandle> handles = new ArrayList<>(stale);
        some.forEach(entry -> handles.addAll(List.of(entry.handle, entry.handle)));
        removed(index.removeAll(VectorHandles.of(handles)), some);
      }
      case ModelOp.RemoveIf(int keep) ->
          removed(
              index.removeIf(handle -> keeps(keep, handle)),
              live.stream().filter(entry -> keeps(keep, entry.handle)).toList());
      case ModelOp.Replace(int pick, float[] vector) -> {
        if (!live.isEmpty()) {
          int at = pick % live.size();
          VectorHandle old = live.get(at).handle;
          Optional<VectorHandle> handle = index.replace(old, vector);
          require(handle.isPresent(), "answered empty for a live handle");
          require(!known(handle.get()), "answered the handle %s again", handle.get());
          live.set(at, new Entry(handle.get(), vector));
          stale.add(old);
        }
      }
      case ModelOp.Get(int pick) -> {
        if (!live.isEmpty()) {
          get(live.get(pick % live.size()));
        }
      }
      case ModelOp.UseStale(int pick, float[] vector) -> {
        if (!stale.isEmpty()) {
          VectorHandle handle = stale.get(pick % stale.size());
          require(!index.remove(handle), "removed the stale handle %s", handle);
          require(index.replace(handle, vector).isEmpty(), "replaced the stale handle %s", handle);
          require(index.get(handle).isEmpty(), "got the stale handle %s", handle);
        }
      }
      case ModelOp.Search search -> search(search);
      case ModelOp.Train train -> train(train);
      case ModelOp.Maintain(boolean waits) -> maintain(waits);
      case ModelOp.Compact() -> {
        index.compact().join();
        require(index.stats().deleted() == 0, "left %d dead rows", index.stats().deleted());
        live.forEach(this::get);
      }
      case ModelOp.Stats() -> {
        require(
            index.stats().live() == live.size(),
            "counts %d vectors, there are %d",
            index.stats().live(),
            live.size());
      }
    }
  }

  private void maintain(boolean waits) {
    trained();
    int before = index.stats().lists();
    CompletableFuture<MaintenanceReport> future = index.maintain();
    if (!waits) {
      maintenance = future;
      return;
    }
    MaintenanceReport report = future.join();
    int lists = index.stats().lists();
    boolean none = report.split() == 0 && report.merged() == 0;
    require(!none || lists == before && report.moved() == 0, "%s, %d lists", report, lists);
    require(lists >= before - report.merged() + report.split(), "%s, %d lists", report, lists);
    require(lists > 0 == before > 0, "%d lists, before %d", lists, before);
  }

  private void train(ModelOp.Train train) {
    trained();
    TrainingRequest.Builder how = TrainingRequest.builder();
    if (train.lists() > 0) {
      how.lists(train.lists());
    }
    CompletableFuture<TrainingReport> future = index.train(how.build());
    if (!train.waits()) {
      training = future;
      return;
    }
    boolean listed = index.placement().listed();
    int room = listed ? places() : live.size(); // without lists nothing is clustered
    boolean possible = live.size() >= 2 && train.lists() <= room;
    try {
      int lists = future.join().lists();
      require(possible, "made %d lists of %d places", lists, room);
      require(lists == index.stats().lists(), "counts %d lists", index.stats().lists());
      require(listed ? lists > 0 : lists == 0, "made %d lists", lists);
      require(!listed || train.lists() == 0 || lists == train.lists(), "made %d lists", lists);
    } catch (CompletionException e) {
      require(
          !possible && e.getCause() instanceof IllegalArgumentException,
          "%d vectors in %d places: %s",
          live.size(),
          room,
          e.getCause());
    }
  }

  /**
   * Waits for a training or a maintenance that was left alone: of a training only one or no vector
   * at its begin is too few.
   */
  private void trained() {
    CompletableFuture<MaintenanceReport> kept = maintenance;
    maintenance = null;
    if (kept != null) {
      kept.join();
    }
    CompletableFuture<TrainingReport> last = training;
    training = null;
    if (last != null) {
      try {
        last.join();
      } catch (CompletionException e) {
        String message = String.valueOf(e.getCause().getMessage());
        require(message.matches("train: .[01]. vectors.*"), "%s", e.getCause());
      }
    }
  }

  /** How many vectors differ, by what the metric sees of them: in one dimension maybe a sign. */
  private int places() {
    boolean directions = metric == Metric.COSINE || metric == Metric.DOT;
    Set<String> places = new HashSet<>();
    for (Entry entry : live) {
      boolean sign = directions && entry.vector.length == 1;
      places.add(sign ? "" + Math.signum(entry.vector[0]) : Arrays.toString(entry.vector));
    }
    return places.size();
  }

  private void removed(int count, List<Entry> entries) {
    require(count == entries.size(), "removed %d, not %d", count, entries.size());
    entries.forEach(this::forget);
    entries.forEach(entry -> stale.add(entry.handle));
  }

  /** Overridden where the test itself is tested. */
  void forget(Object entry) {
    live.remove(entry);
  }

  private void added(VectorHandle handle, float[] vector) {
    require(!known(handle), "answered the handle %s again", handle);
    live.add(new Entry(handle, vector));
  }

  private boolean known(VectorHandle handle) {
    return stale.contains(handle) || live.stream().anyMatch(entry -> entry.handle.equals(handle));
  }

  private void get(Entry entry) {
    Optional<StoredVector> stored = index.get(entry.handle);
    require(stored.isPresent(), "get(%s) is empty", entry.handle);
    require(stored.get().handle().equals(entry.handle), "get answered another handle");
    // equals compares bits, so that -0 and 0 differ
    require(Arrays.equals(stored.get().vector(), entry.vector), "get answered another vector");
  }

  private void search(ModelOp.Search search) {
    List<Entry> eligible =
        live.stream()
            .filter(
                e -> search.filter() == ModelOp.FilterKind.NONE || keeps(search.keep(), e.handle))
            .toList();
    float maxDistance = limit(search, eligible);
    SearchRequest.Builder request =
        SearchRequest.builder().queries(VectorBatch.of(search.queries())).topK(search.k());
    if (search.limited()) {
      request.maxDistance(maxDistance);
    }
    filter(search, request);
    boolean whole = reach(search.reach(), request);
    SearchResult result = index.search(request.build());
    require(result.queryCount() == search.queries().length, "answered %d", result.queryCount());
    for (int q = 0; q < search.queries().length; q++) {
      List<Hit> hits = result.hits(q);
      check(search.queries()[q], search.k(), maxDistance, eligible, hits, whole);
      require(
          whole || search.limited() || hits.size() == Math.min(search.k(), eligible.size()),
          "%d hits, there are %d vectors",
          hits.size(),
          eligible.size());
    }
  }

  /** Asks for that; answers whether every vector is looked at then. */
  private boolean reach(ModelOp.Reach reach, SearchRequest.Builder request) {
    int lists = index.stats().lists();
    boolean known =
        training == null
            && maintenance == null; // else there may be others by the time of the search
    switch (reach) {
      case UNSAID -> {}
      case ONE -> request.probes(1);
      case TARGET -> request.targetRecall(.9);
      case ALL -> {
        if (known) {
          request.probes(Math.max(1, lists));
        } else {
          request.exact(true);
        }
      }
      case EXACT -> request.exact(true);
    }
    boolean all = reach == ModelOp.Reach.ALL || reach == ModelOp.Reach.EXACT;
    return all || known && lists == 0;
  }

  /** Handles differ from run to run, so this goes by their slots, which do not. */
  private static boolean keeps(int keep, VectorHandle handle) {
    return Math.floorMod(HandleBits.slot(handle.bits()) * 0x9E3779B9, 100) < keep;
  }

  private void filter(ModelOp.Search search, SearchRequest.Builder request) {
    Predicate<VectorHandle> predicate = handle -> keeps(search.keep(), handle);
    List<VectorHandle> kept = new ArrayList<>(stale); // stale ones match nothing
    live.forEach(entry -> kept.add(entry.handle));
    switch (search.filter()) {
      case NONE -> {}
      case HANDLES -> {
        kept.removeIf(predicate.negate());
        request.filter(HandleSet.of(kept));
      }
      case PREDICATE -> request.filter(predicate);
      case BOTH -> request.filter(HandleSet.of(kept)).filter(predicate);
    }
  }

  /** Between two neighbours of the first query, so that no rounding decides. */
  private float limit(ModelOp.Search search, List<Entry> eligible) {
    if (!search.limited()) {
      return Float.POSITIVE_INFINITY;
    }
    double[] distances =
        eligible.stream()
            .mapToDouble(e -> exact(search.queries()[0], e).distance())
            .sorted()
            .toArray();
    int at = Math.min(search.nearest(), distances.length - 1);
    if (at < 0) {
      return 1;
    }
    double next = at + 1 < distances.length ? distances[at + 1] : distances[at] + 1;
    return (float) ((distances[at] + next) / 2);
  }

  private Oracle64.Bounded exact(float[] query, Entry entry) {
    return Oracle64.distance(metric, query, entry.vector);
  }

  /** One query: every hit is right and nothing nearer was left out, to the error of 32 bits. */
  private void check(
      float[] query,
      int k,
      float maxDistance,
      List<Entry> eligible,
      List<Hit> hits,
      boolean whole) {
    Map<VectorHandle, Integer> order = new HashMap<>();
    for (int i = 0; i < eligible.size(); i++) {
      order.put(eligible.get(i).handle, i);
    }
    Set<VectorHandle> seen = new HashSet<>();
    for (int i = 0; i < hits.size(); i++) {
      Hit hit = hits.get(i);
      Integer at = order.get(hit.handle());
      require(at != null, "hit %d, %s, is removed or filtered out", i, hit);
      require(seen.add(hit.handle()), "hit %d, %s, comes twice", i, hit);
      Oracle64.Bounded exact = exact(query, eligible.get(at));
      require(
          Math.abs(hit.distance() - exact.distance()) <= exact.error(),
          "hit %d, %s: exact distance %s +- %s",
          i,
          hit,
          exact.distance(),
          exact.error());
      require(hit.distance() <= maxDistance, "hit %d, %s, is beyond %s", i, hit, maxDistance);
      require(hit.score() == metric.score(hit.distance()), "hit %d, %s: score", i, hit);
      if (i > 0) {
        Hit before = hits.get(i - 1);
        require(
            before.distance() < hit.distance()
                || (before.distance() == hit.distance()
                    // Poincare is ordered by a rank of which several round to one distance.
                    && (metric == Metric.POINCARE || order.get(before.handle()) < at)),
            "hits %d and %d, %s and %s, are out of order",
            i - 1,
            i,
            before,
            hit);
      }
    }
    require(hits.size() <= k, "%d hits for k = %d", hits.size(), k);
    if (whole) {
      leftOut(query, hits.size() == k, maxDistance, eligible, hits, seen);
    }
  }

  private void leftOut(
      float[] query,
      boolean full,
      float maxDistance,
      List<Entry> eligible,
      List<Hit> hits,
      Set<VectorHandle> seen) {
    double worst = full ? hits.getLast().distance() : Double.POSITIVE_INFINITY;
    for (int i = 0; i < eligible.size(); i++) {
      Entry entry = eligible.get(i);
      if (seen.contains(entry.handle)) {
        continue;
      }
      Oracle64.Bounded exact = exact(query, entry);
      // A hit's distance is a computed one, so only the error of the vector left out counts here.
      require(
          exact.distance() + exact.error() >= Math.min(worst, maxDistance),
          "%s at %s +- %s was left out, the last of %d hits is at %s",
          entry.handle,
          exact.distance(),
          exact.error(),
          hits.size(),
          worst);
      for (Hit hit : hits) {
        int at = index(eligible, hit.handle());
        require(
            i > at || !Arrays.equals(entry.vector, eligible.get(at).vector),
            "%s was left out for %s, which is the same vector added later",
            entry.handle,
            hit.handle());
      }
    }
  }

  private static int index(List<Entry> entries, VectorHandle handle) {
    for (int i = 0; i < entries.size(); i++) {
      if (entries.get(i).handle.equals(handle)) {
        return i;
      }
    }
    throw new AssertionError(handle);
  }

  private static void require(boolean holds, String message, @Nullable Object... arguments) {
    if (!holds) {
      throw new Disagreement(message.formatted(arguments));
    }
  }

  /** Short enough to read, long enough to type in again. */
  public static String describe(ModelOp op) {
    return switch (op) {
      case ModelOp.Add(float[] vector) -> "Add" + Arrays.toString(vector);
      case ModelOp.AddAll(float[][] vectors) -> "AddAll" + Arrays.deepToString(vectors);
      case ModelOp.Replace(int pick, float[] vector) ->
          "Replace[" + pick + ", " + Arrays.toString(vector) + "]";
      case ModelOp.Search s ->
          "Search[%s, k=%d, filter=%s keeps %d%%, limited=%s after %d, %s]"
              .formatted(
                  Arrays.deepToString(s.queries()),
                  s.k(),
                  s.filter(),
                  s.keep(),
                  s.limited(),
                  s.nearest(),
                  s.reach());
      default -> op.toString();
    };
  }
}

import { readFileSync } from 'node:fs';

/** A mistake of whoever set the job up; no finding about the repository. */
export class UsageError extends Error {
  name = 'UsageError';
}

/**
 * Where this runs, and what is allowed there. `mayWrite`: commenting, pushing and signing, which nobody's fork ever
 * may. `isMain`: what is checked out is the main branch, after a merge.
 */
export function detectPlatform(env, options) {
  if (env.GITHUB_ACTIONS === 'true') return github(env, options);
  if (env.GITLAB_CI === 'true') return gitlab(env, options);
  return {
    kind: 'terminal',
    isFork: false,
    isMain: true,
    request: null,
    against: options.against === undefined ? [] : [options.against],
    policyAt: options.against === undefined ? [] : [options.against],
  };
}

/** The event file is GitHub's own: https://docs.github.com/en/webhooks/webhook-events-and-payloads. */
function github(env, options) {
  const name = env.GITHUB_EVENT_NAME;
  // Its token can write, and its caches are shared with the main branch: code of a fork has no place beside them.
  if (name === 'pull_request_target' || name === 'workflow_run') {
    throw new UsageError(
      `the event ${name} gives a fork's change the rights of this repository: use pull_request`,
    );
  }
  const event = JSON.parse(readFileSync(env.GITHUB_EVENT_PATH ?? '', 'utf8'));
  const pull = event.pull_request;
  // A queue tests what the branch will be once all before it are merged: that it was reviewed says nothing of the policy.
  const queued = event.merge_group;
  if (queued) {
    const onto = [options.against ?? queued.base_sha];
    return { kind: 'github', isFork: false, isMain: false, request: null, against: onto, policyAt: onto };
  }
  if (!pull) {
    const branch = options.branch ?? event.repository?.default_branch ?? 'main';
    return {
      kind: 'github',
      isFork: false,
      isMain: name === 'push' && env.GITHUB_REF === `refs/heads/${branch}`,
      request: null,
      against: [],
      policyAt: [],
    };
  }
  // The repository of a fork can be gone: then it is null, and a fork all the same.
  const isFork = pull.head?.repo?.full_name !== pull.base.repo.full_name;
  // The commit that GitHub tests has the target branch as its first parent; what is checked out may be another one.
  const against = options.against ?? pull.base.sha;
  return {
    kind: 'github',
    isFork,
    isMain: false,
    request: isFork
      ? null
      : {
          url: `${env.GITHUB_API_URL ?? 'https://api.github.com'}/repos/${pull.base.repo.full_name}/issues`,
          number: Number(pull.number),
          token: env.GITHUB_TOKEN || null,
        },
    against: [{ parentOf: env.GITHUB_SHA ?? '' }, against],
    policyAt: [{ parentOf: env.GITHUB_SHA ?? '' }, against],
  };
}

/** https://docs.gitlab.com/ci/variables/predefined_variables. */
function gitlab(env, options) {
  const iid = env.CI_MERGE_REQUEST_IID;
  const branch = options.branch ?? env.CI_DEFAULT_BRANCH ?? 'main';
  if (iid === undefined) {
    return {
      kind: 'gitlab',
      isFork: false,
      isMain: env.CI_COMMIT_BRANCH === branch && env.CI_PIPELINE_SOURCE !== 'merge_request_event',
      request: null,
      against: [],
      policyAt: [],
    };
  }
  const isFork =
    env.CI_MERGE_REQUEST_SOURCE_PROJECT_ID !== env.CI_MERGE_REQUEST_PROJECT_ID ||
    env.CI_PROJECT_ID !== env.CI_MERGE_REQUEST_PROJECT_ID;
  // The template fetches the target branch: the policy that counts is the one that stands there now, not the one of the
  // commit that the author chose to branch off at.
  const target = options.against ?? 'refs/sjs/target';
  return {
    kind: 'gitlab',
    isFork,
    isMain: false,
    request: isFork
      ? null
      : {
          url: `${env.CI_API_V4_URL}/projects/${Number(env.CI_MERGE_REQUEST_PROJECT_ID)}/merge_requests`,
          number: Number(iid),
          token: env.SJS_CI_TOKEN || null,
        },
    against: [{ mergeBaseWith: target }, target],
    policyAt: [target],
  };
}

/** The first of the named commits that is there; null when none is asked for. */
export async function findCommit(names, repository) {
  for (const name of names) {
    const found = await oneCommit(name, repository);
    if (found !== null) return found;
  }
  if (names.length === 0) return null;
  throw new UsageError(
    'the commit to compare with was not fetched: give actions/checkout `fetch-depth: 2`, or GitLab a larger GIT_DEPTH',
  );
}

async function oneCommit(name, repository) {
  if (typeof name === 'string') return repository.commit(name);
  const head = await repository.commit('HEAD');
  if (name.parentOf !== undefined) {
    // A merge has two parents, the first of them is where it was merged into.
    const isMerge = head !== null && head === name.parentOf && (await repository.commit('HEAD^2')) !== null;
    return isMerge ? repository.commit('HEAD^1') : null;
  }
  const target = await repository.commit(name.mergeBaseWith);
  return head === null || target === null ? null : repository.mergeBase(head, target);
}
